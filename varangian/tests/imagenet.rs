//! Runs on an image folder, shaped as those on ImageNet, from their configuration: on a tiny folder
//! of PNG files.

use std::fs;
use std::path::Path;
use std::process::Command;

const EXPERIMENT: &str = "experiments/signsgd/imagenet.toml";

/// Two classes that differ in which corner is bright, `count` pictures of 40 × 36 pixels each.
fn paint(folder: &Path, count: u32) {
    for (class, corner) in [("dark-left", 0), ("dark-right", 1)] {
        let folder = folder.join(class);
        fs::create_dir_all(&folder).unwrap();
        for k in 0..count {
            let picture = image::RgbImage::from_fn(40, 36, |x, y| {
                let bright = (x / 20 == corner) as u8 * 150;
                image::Rgb([bright + (k * 7) as u8, bright + (y as u8), (x + k) as u8])
            });
            picture.save(folder.join(format!("{k}.png"))).unwrap();
        }
    }
}

/// Runs the experiment with these changes and returns its table of runs and its results.
fn run(changes: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    paint(&folder.path().join("train"), 6);
    paint(&folder.path().join("val"), 2);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_varangian"));
    command.arg("run").arg(root.join(EXPERIMENT)).arg("--data").arg(folder.path());
    command.arg("--out").arg(folder.path().join("out")).arg("--quiet");
    for change in changes {
        command.arg("--set").arg(change);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    (read("runs.csv"), read("results.csv"))
}

#[test]
fn residual_networks_learn_pictures_of_a_folder_from_the_configuration() {
    let small = "dataset=images size=32 flip=train cache=false";
    let shape = ["n=3", "batch=2", "steps=2", "evaluate_every=2", small];
    let hostile = ["attack=oppose", "f_real=1", "model=resnet18"];
    let (runs, results) = run(&[&shape[..], &hostile].concat());
    assert!(runs.contains(",\"resnet18\",") && runs.contains("oppose"), "{runs}");
    assert_eq!(runs.matches(",\"finished\",").count(), 1, "{runs}");
    let losses = || results.lines().filter(|line| line.contains(",\"test_loss\","));
    assert_eq!(losses().count(), 2, "before the first step and after the last: {results}");
    for line in losses() {
        let loss: f64 = line.rsplit(',').next().unwrap().parse().unwrap();
        assert!(loss.is_finite() && loss > 0.0, "{line}");
    }
}

#[test]
fn the_larger_network_makes_a_step_on_them() {
    let small = "dataset=images size=32 cache=false";
    let shape = ["n=2", "batch=1", "steps=1", "evaluate_every=1", "test_samples=1", small];
    let hostile = ["attack=none", "f_real=0", "model=resnet50 norm=frozen-init"];
    let (runs, results) = run(&[&shape[..], &hostile].concat());
    assert!(runs.contains("resnet50 norm=frozen-init"), "{runs}");
    assert_eq!(
        results.lines().filter(|line| line.contains(",\"accuracy\",")).count(),
        2,
        "{results}"
    );
}
