//! README's example of the library and those of the book are compiled word for word, and run.
#![allow(clippy::print_stdout)]

use std::fs;
use std::path::Path;

#[test]
fn the_library_example_is_compiled_and_answers() {
    // Its results go below the folder that it is run in; this is the only test of its process.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::env::set_current_dir(folder.path()).unwrap();
    let example = || -> Result<[f32; 2], Box<dyn std::error::Error>> {
        // README
        use varangian::{Experiment, Matrix, Round, Silent, Verdict, rules};

        let rows =
            Matrix::from_rows(&[[0.0, 1.0], [0.1, 1.1], [0.2, 0.9], [0.1, 1.0], [1e6, -1e6]]);
        let mut rule = rules::build("nnm | trimmed-mean", 5, 1)?; // refuses n and f below the rule's bound
        let (mut out, mut verdict) = ([0.0; 2], Verdict::default());
        rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut verdict);

        let text = r#"
            rule = ["average", "nnm | median"]
            attack = "alie"
            n = 11
            f = 2
            steps = 40
        "#;
        for outcome in Experiment::from_text(text)?.run(&mut Silent)? {
            println!("{}: {:?}", outcome.settings.rule, outcome.curve("accuracy").last());
        }
        // README
        Ok(out)
    };
    let out = example().unwrap();
    assert!((out[0] - 0.1).abs() < 0.05 && (out[1] - 1.0).abs() < 0.05, "{out:?}");
    assert!(folder.path().join("runs/experiment/results.csv").is_file());
    // Word for word, whatever the formatting.
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let own = include_str!("readme.rs").split("// README\n").nth(1).unwrap();
    let block = page.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(words(own), words(block));
    the_books_examples_do_too(&root.join("book/rust.md")).unwrap();
}

/// Compiles the book's examples, runs them, and finds each of its blocks here word for word.
fn the_books_examples_do_too(page: &Path) -> Result<(), Box<dyn std::error::Error>> {
    {
        // BOOK
        use varangian::{Matrix, Round, Verdict, rules};

        let rows =
            Matrix::from_rows(&[[0.0, 1.0], [0.1, 1.1], [0.2, 0.9], [0.1, 1.0], [1e6, -1e6]]);
        let mut rule = rules::build("nnm | trimmed-mean", 5, 1)?;
        let (mut out, mut verdict) = ([0.0; 2], Verdict::default());
        rule.aggregate(&mut Round::of(rows.rows(), 1), &mut out, &mut verdict);
        assert!(out[0].abs() < 1.0);
        // BOOK
    }
    {
        // BOOK
        use varangian::{Experiment, Silent};

        let text = r#"
            rule = ["average", "nnm | median"]
            attack = "alie"
            n = 11
            f = 2
            steps = 40
        "#;
        for outcome in Experiment::from_text(text)?.run(&mut Silent)? {
            println!("{}: {:?}", outcome.settings.rule, outcome.curve("accuracy").last());
        }
        // BOOK
    }
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let own: Vec<_> = include_str!("readme.rs").split("// BOOK\n").skip(1).step_by(2).collect();
    let page = fs::read_to_string(page)?;
    let blocks: Vec<&str> =
        page.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), own.len(), "every block stands here");
    for (block, own) in blocks.iter().zip(&own) {
        assert_eq!(words(block), words(own));
    }
    Ok(())
}
