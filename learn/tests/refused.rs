//! What loaders refuse, and how they say where: values that are missing or not finite, first rows
//! that may be headers, folders without pictures, cut pictures, classes that training never had,
//! paths that lead out of the data folder.

#[allow(dead_code)]
#[path = "same_data/say.rs"]
mod say;

use image::ImageFormat;
use say::{Files, encode, file, gz, npy, picture, seen, zip};

fn csv(text: &str) -> String {
    seen("csv file=a.csv test=b.csv", &two(text, "1,2,0\n")).unwrap_err()
}

fn two(a: &str, b: &str) -> Files {
    vec![file("a.csv", a), file("b.csv", b)]
}

#[track_caller]
fn has(error: &str, wanted: &str) {
    assert!(error.contains(wanted), "{error}\n  lacks {wanted}");
}

#[test]
fn missing_cells_and_labels_are_named_by_file_row_and_column() {
    let words =
        ["", " ", "NA", "N/A", "n/a", "nan", "NaN", "null", "NULL", "None", "?", "<NA>", "#N/A"];
    for word in words {
        has(
            &csv(&format!("1,2,0\n3,{word},1\n4,5,1\n")),
            "a.csv: row 2, column 1: expected a finite number",
        );
        has(
            &csv(&format!("1,2,0\n3,1,1\n4,5,{word}\n")),
            "a.csv: row 3, column 2: expected a class",
        );
        has(
            &csv(&format!("{word},2,0\n3,1,1\n")),
            "a.csv: row 1, column 0: expected a finite number",
        );
        has(
            &csv(&format!("1,{word},0\n3,1,1\n")),
            "a.csv: row 1, column 1: expected a finite number",
        );
        has(&csv(&format!("1,2,{word}\n3,1,1\n")), "a.csv: row 1, column 2: expected a class");
        has(&csv(&format!("\"{word}\",2,0\n3,1,1\n")), "row 1, column 0");
        has(&csv(&format!("x,y,k\n1,2,0\n{word},1,1\n")), "row 3, column 0 (\"x\"): expected");
        let values = seen("csv file=a.csv task=values", &two(&format!("1,2,0\n3,1,{word}\n"), ""));
        has(&values.unwrap_err(), "row 2, column 2: expected a finite number");
    }
    has(&csv("1,2,0\n3,inf,1\n"), "row 2, column 1");
    has(&csv("1,2,0\n3,1e999,1\n"), "row 2, column 1");
    has(&csv("1,2,inf\n3,1,1\n"), "row 1, column 2: expected a class");
    has(&csv(",,\n3,1,1\n"), "row 1, column 0");
    has(&csv("1,2,\"0\n3,4,1\n5,6,0\n"), "is a quote not closed?");
}

#[test]
fn what_doubles_cannot_tell_apart_is_no_column() {
    let stamps = "1700000000000000001,2,0\n1700000000000000100,3,1\n1700000000000000200,5,0\n";
    has(&csv(stamps), "a.csv: column 0: entries near 1.7");
    has(&csv("1e30,2,0\n1e30,3,1\n"), "subtract a constant from the column");
    // Constant columns and large shifts that doubles hold are columns as any other.
    let spec = "csv file=a.csv test=a.csv";
    assert!(seen(spec, &two("7,2,0\n7,3,1\n", "")).is_ok());
    assert!(seen(spec, &two("1000000000001,2,0\n1000000000002,3,1\n", "")).is_ok());
    assert!(seen(spec, &two("1e-300,2,0\n3e-300,3,1\n", "")).is_ok());
}

#[test]
fn words_of_spreadsheets_and_of_c_for_no_number_are_no_classes() {
    for word in ["#REF!", "#DIV/0!", "#VALUE!", "nan(0x1)", "-nan(ind)"] {
        has(&csv(&format!("1,2,0\n3,1,1\n4,5,{word}\n")), "row 3, column 2: expected a class");
    }
    // A hole in the first row of a table of one feature makes no header of it.
    has(&csv("-,1\n2,0\n3,1\n"), "row 1, column 0: expected a number, or names");
    has(&csv("unknown,1\n2,0\n3,1\n"), "header=true or header=false");
}

#[test]
fn a_first_row_is_a_header_or_a_sample_or_refused() {
    has(
        &csv("1,x,0\n3,4,1\n5,6,1\n"),
        "a.csv: row 1, column 1: expected a number, or names in the whole row",
    );
    has(&csv("0,1,2,kind\n3,4,5,0\n5,6,7,1\n"), "header=true or header=false");
    has(
        &csv("0,1,2,kind\n3,4,5,ant\n5,6,7,bee\n5,6,7,ant\n5,6,2,bee\n"),
        "header=true or header=false",
    );
    has(&csv("0,1,2,3\n3,4,5,0\n5,6,7,1\n5,6,7,1\n5,1,7,0\n"), "header=true or header=false");
    has(&csv(",x,y,k\n0,1,2,0\n1,2,3,1\n"), "row 1, column 0: expected a name");
    has(&csv("x,x,k\n1,2,0\n2,3,1\n"), "row 1, column 1: expected a new name");
    let sodium = seen("csv file=a.csv test=a.csv", &two("RI,Na,None\n1,2,0\n2,4,1\n", ""));
    assert_eq!(sodium.unwrap()[0].inputs, [-1.0, -1.0, 1.0, 1.0], "a column may have any name");
    has(&csv("1;2;0\n"), "expected at least two columns, found 1 (fields are separated by commas)");
    let told = |header: &str| {
        let spec = format!("csv file=a.csv test=a.csv header={header}");
        seen(&spec, &two("0,1,2,kind\n3,4,5,ant\n5,6,7,bee\n", "")).unwrap()[0].inputs.len()
    };
    assert_eq!((told("true"), told("false")), (6, 9));
}

#[test]
fn a_table_that_single_precision_cannot_hold_is_refused() {
    let load = |spec: &str, text: &str| seen(spec, &two(text, text)).unwrap_err();
    let bare = "csv file=a.csv test=b.csv standardise=false";
    has(&load(bare, "1e39,2,0\n3,4,1\n"), "a.csv: row 1, column 0: expected a number of single");
    has(
        &load(bare, "1e9,2,0\n1000000001,4,1\n"),
        "a.csv: column 0: numbers from 1e9 to 1.000000001e9",
    );
    has(
        &load("libsvm file=a.csv test=b.csv", "0 1:1e39\n1 1:1\n"),
        "a.csv: line 1, index 1: expected",
    );
    let values = "csv file=a.csv test=b.csv task=values";
    has(&load(values, "1,2,1e39\n3,4,1\n"), "row 1, column 2: expected a number of single");
    has(&load(values, "1,2,1e10\n3,4,10000000001\n"), "a.csv: targets: numbers from 1e10");
    // A test row far beyond the training rows, in units of a tiny deviation.
    let files = two("1e-300,2,0\n2e-300,4,1\n", "1,2,0\n");
    has(&seen("csv file=a.csv test=b.csv", &files).unwrap_err(), "b.csv: row 1, column 0");
}

#[test]
fn sparse_text_without_a_label_or_with_more_than_one_is_refused() {
    let load =
        |text: &str| seen("libsvm file=a.csv test=b.csv", &two(text, "0 1:1\n")).unwrap_err();
    has(&load("0 1:1\n 1:2 2:3\n"), "a.csv: line 2: expected a label before the first index:value");
    has(&load("0 1:1\nnan 1:2\n"), "a.csv: line 2: expected a class first, found \"nan\"");
    has(&load("0 1:1\n? 1:2\n"), "a.csv: line 2: expected a class first");
    has(&load("0 1:1\n1,2 1:2\n"), "a.csv: line 2: expected one label");
    has(&load("0 1:1\n1 2:\n"), "a.csv: line 2: expected a finite value, found \"2:\"");
    has(&load("0 1:1\n1 2:1 1:1\n"), "a.csv: line 2: expected an index above 2");
    has(&load("\u{feff}\u{feff}0 1:1\n1 2:inf\n"), "line 2: expected a finite value");
}

#[test]
fn files_that_are_no_text_say_what_they_are() {
    let load = |bytes: &[u8]| seen("csv file=a.csv", &vec![file("a.csv", bytes)]).unwrap_err();
    has(&load(b"\xff\xfe1\0,\0"), "a.csv: text: expected UTF-8, plain or gzipped, found UTF-16");
    has(&load(b"PK\x03\x04 and so on"), "a zip archive");
    has(&load(&gz(b"1,2,0\n2,3,1\n")[..20]), "a.csv: cannot read");
    let both = vec![file("d/a.csv", "1,2,0\n"), file("d/a.csv.gz", gz(b"1,2,0\n"))];
    has(&seen("csv file=d", &both).unwrap_err(), "the same table twice");
}

#[test]
fn test_classes_that_training_never_had_are_named() {
    has(
        &seen("csv file=a.csv test=b.csv", &two("1,2,0\n3,1,1\n", "1,2,0\n1,5,7\n")).unwrap_err(),
        "b.csv: row 2: expected a label that a training sample has, found \"7\"",
    );
    has(
        &seen("libsvm file=a.csv test=b.csv", &two("0 1:1\n1 1:2\n", "7 1:1\n")).unwrap_err(),
        "b.csv: line 1: expected a label that a training sample has, found \"7\"",
    );
    // The only sample of a class is either learnt from or tested on.
    let outcome = |rare: usize| {
        let row = |i: usize| format!("{i},1,{}\n", if i == rare { "rare" } else { "often" });
        let rows: String = (0..9).map(row).collect();
        let found = seen("csv file=a.csv test=0.3", &two(&rows, ""));
        let place = format!("a.csv: row {}: expected a label", rare + 1);
        found.map_err(|error| has(&error, &place)).is_ok()
    };
    assert_eq!((0..9).filter(|&rare| outcome(rare)).count(), 6);
    let bytes = |labels: &[u8]| npy("|u1", false, &[labels.len()], labels);
    let x = |n: usize| npy("|u1", false, &[n, 4, 4], &vec![9; 16 * n]);
    let files = vec![
        file("d/x_train.npy", x(3)),
        file("d/y_train.npy", bytes(&[5, 9, 5])),
        file("d/x_test.npy", x(2)),
        file("d/y_test.npy", bytes(&[9, 7])),
    ];
    has(
        &seen("npz file=d", &files).unwrap_err(),
        "d: y_test: entry 1: expected a label that y_train has, found 7",
    );
}

#[test]
fn arrays_that_are_no_finite_numbers_say_which() {
    let floats = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let load = |x: &[f64], y: Vec<u8>, spec: &str| {
        let x = npy("<f8", false, &[2, 2], &floats(x));
        let files = vec![
            file("x_train.npy", x.clone()),
            file("y_train.npy", y.clone()),
            file("x_test.npy", x),
            file("y_test.npy", y),
        ];
        seen(spec, &vec![file("a.npz", zip(&files, true))]).unwrap_err()
    };
    let good = || npy("|u1", false, &[2], &[0, 1]);
    let (x, spec) = ([1.0, 2.0, 3.0, 4.0], "npz file=a.npz");
    has(
        &load(&[1.0, 2.0, 3.0, f64::NAN], good(), spec),
        "a.npz: x_train: sample 1, column 1: expected a finite",
    );
    has(&load(&[1.0, f64::INFINITY, 3.0, 4.0], good(), spec), "x_train: sample 0, column 1");
    has(
        &load(&[1.0, 1e39, 3.0, 4.0], good(), spec),
        "training sample 0, column 1: expected a number of single",
    );
    has(
        &load(&x, npy("<f8", false, &[2], &floats(&[0.0, f64::NAN])), spec),
        "y_train: entry 1: expected a class",
    );
    has(&load(&x, npy("<i8", false, &[2], &[0xff; 16].map(|b: u8| b >> 1)), spec), "below 2^53");
    for kind in ["U1", "U2", "U9", "S3"] {
        let width = if kind.starts_with('U') { 4 } else { 1 } * kind[1..].parse::<usize>().unwrap();
        let y = npy(&format!("<{kind}"), false, &[2], &vec![0; 2 * width]);
        has(
            &load(&x, y, spec),
            &format!(
                "kind of number: expected u1 to u8, i1 to i8, b1, f2, bfloat16, f4 or f8, found {kind} (text"
            ),
        );
    }
    has(
        &load(&x, npy("|O", false, &[2], b"\x80\x04pickle"), spec),
        "found O (pickled Python objects",
    );
    has(&load(&x, good(), "npz file=a.npz crop=2"), "crop: expected x_train to hold images");
    has(
        &load(&x, good(), "npz file=a.npz layout=chw"),
        "layout: expected samples of three dimensions",
    );
}

fn pictures(change: impl Fn(&mut Files)) -> String {
    let mut files = Files::new();
    for split in ["train", "val"] {
        for (class, k) in [("a", 0), ("a", 1), ("b", 2), ("b", 3)] {
            let png = encode(&picture(8, 9 * k, false), ImageFormat::Png);
            files.push(file(&format!("p/{split}/{class}/{k}.png"), png));
        }
    }
    change(&mut files);
    match seen("images file=p size=8 resize=8", &files) {
        Ok(_) => "loaded".into(),
        Err(error) => error,
    }
}

#[test]
fn folders_without_pictures_and_pictures_without_folders_are_refused() {
    let with = |name: &str| pictures(|files| files.push(file(&format!("p/{name}"), "")));
    assert_eq!(pictures(|_| {}), "loaded");
    has(
        &with("train/c/keep"),
        "p/train/c: pictures: expected at least one .png or .jpg in each class",
    );
    has(&with("val/c/keep"), "p/val: classes: expected only classes that train has, found \"c\"");
    has(
        &with("train/1.png"),
        "p/train: classes: expected folders, one a class, found the file 1.png",
    );
    has(&with("train/a/more/1.png"), "p/train/a/more: class: expected pictures, not folders");
    has(&with("train/a/1.webp"), "p/train/a/1.webp: picture: expected PNG or JPEG");
    has(&pictures(|files| files.retain(|(name, _)| !name.contains("train/b"))), "found \"b\"");
    has(
        &pictures(|files| files.retain(|(name, _)| !name.contains("val"))),
        "a folder val, test or valid",
    );
}

#[cfg(unix)]
#[test]
fn names_with_control_characters_are_shown_without_them() {
    let error = pictures(|files| files.push(file("p/val/\u{1b}[31m\nfox/1.png", "")));
    assert_eq!(error, "p/val: classes: expected only classes that train has, found \" [31m fox\"");
    let error = pictures(|files| files.push(file("p/train/a/\u{1b}]0;x\u{7}.png", "")));
    has(&error, "p/train/a/ ]0;x .png: ");
}

#[test]
fn a_picture_that_is_cut_anywhere_is_refused() {
    let tagged = |format| say::oriented(&encode(&picture(48, 3, false), format), 1);
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let whole = tagged(format);
        assert!(varangian_learn::data::folder::picture(&whole).is_ok());
        for length in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
            let cut = varangian_learn::data::folder::picture(&whole[..length]);
            assert!(cut.is_err(), "{format:?} of {} bytes cut to {length}", whole.len());
        }
        let mut blank = whole.clone();
        let half = blank.len() / 2;
        blank[half..].fill(0);
        assert!(varangian_learn::data::folder::picture(&blank).is_err(), "{format:?} half zeros");
        let error = pictures(|files| files[2].1 = whole[..whole.len() / 2].to_vec());
        has(
            &error,
            "p/train/b/2.png: picture: expected a whole file, up to its end mark, found one that ends",
        );
    }
}

#[test]
fn data_paths_stay_below_the_data_folder() {
    let files = two("1,2,0\n3,1,1\n", "1,2,0\n");
    for name in ["/etc/passwd", "../a.csv", "x/../../a.csv", "x/../a.csv", ".."] {
        for spec in [
            format!("csv file={name}"),
            format!("csv file=a.csv test={name}"),
            format!("libsvm file={name}"),
            format!("npz file={name}"),
            format!("images file={name}"),
        ] {
            has(&seen(&spec, &files).unwrap_err(), "expected a path below the data folder");
        }
    }
    assert!(seen("csv file=./a.csv test=b.csv", &files).is_ok());
}

#[cfg(unix)]
#[test]
fn links_may_lead_about_in_the_data_folder_but_not_out_of_it() {
    let outside = tempfile::tempdir().unwrap();
    let data = tempfile::tempdir().unwrap();
    let table = "1,2,0\n3,1,1\n4,1,1\n";
    std::fs::write(outside.path().join("far.csv"), table).unwrap();
    std::fs::write(data.path().join("near.csv"), table).unwrap();
    let link = |from: &std::path::Path, name: &str| {
        std::os::unix::fs::symlink(from, data.path().join(name)).unwrap();
    };
    link(&outside.path().join("far.csv"), "out.csv");
    link(&data.path().join("near.csv"), "in.csv");
    link(outside.path(), "folder");
    std::fs::create_dir(data.path().join("mixed")).unwrap();
    link(&outside.path().join("far.csv"), "mixed/1.csv");
    for (split, class) in [("train", "a"), ("train", "b"), ("val", "a")] {
        std::fs::create_dir_all(data.path().join(split).join(class)).unwrap();
        let png = encode(&picture(8, 9, false), ImageFormat::Png);
        std::fs::write(data.path().join(split).join(class).join("1.png"), png).unwrap();
    }
    let load = |spec: &str| {
        let split =
            varangian_learn::data::load(spec, Some(data.path().into()), varangian_base::Seed(1));
        split.map(|split| split.train.len()).map_err(|error| error.to_string())
    };
    assert_eq!(load("csv file=in.csv test=near.csv"), Ok(3));
    for name in ["out.csv", "folder", "folder/far.csv", "mixed", "mixed/1.csv"] {
        has(
            &load(&format!("csv file={name}")).unwrap_err(),
            "link: expected a place below the data",
        );
    }
    let pictures = || load("images size=8 resize=8 cache=false");
    assert_eq!(pictures(), Ok(2));
    std::fs::write(outside.path().join("1.png"), encode(&picture(8, 9, false), ImageFormat::Png))
        .unwrap();
    for name in ["train/b/2.png", "train/c", "val/b"] {
        let to = if name.ends_with("png") { "1.png" } else { "" };
        link(&outside.path().join(to), name);
        has(&pictures().unwrap_err(), "link: expected a place below the data");
        std::fs::remove_file(data.path().join(name)).unwrap();
    }
    std::fs::rename(data.path().join("train"), outside.path().join("train")).unwrap();
    link(&outside.path().join("train"), "train");
    has(&pictures().unwrap_err(), "link: expected a place below the data");
}
