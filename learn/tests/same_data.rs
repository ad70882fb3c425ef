//! The same data said another way give the same numbers, whatever the loader: the same bits for
//! order, names, quoting and compression, the same within rounding for shifts and scales. What
//! cannot be the same is refused.

#[path = "same_data/say.rs"]
mod say;

use half::{bf16, f16};
use image::ImageFormat;
use say::{
    Files, Seen, TEST, TRAIN, class, encode, features, file, gz, near, npy, oriented, picture,
    seen, zip,
};
use std::ops::Range;
use varangian_learn::Targets;

/// A CSV file of these rows: features, then the label.
fn csv(
    rows: Range<usize>,
    feature: impl Fn(f64) -> String,
    label: impl Fn(usize) -> String,
) -> String {
    let row = |i: usize| {
        let cells: Vec<String> = features(i).iter().map(|&v| feature(v)).collect();
        format!("{},{}\n", cells.join(","), label(class(i)))
    };
    rows.map(row).collect()
}

fn plain(v: f64) -> String {
    v.to_string()
}

fn number(class: usize) -> String {
    class.to_string()
}

const CSV: &str = "csv file=a.csv test=b.csv";

fn two(a: impl Into<Vec<u8>>, b: impl Into<Vec<u8>>) -> Files {
    vec![file("a.csv", a), file("b.csv", b)]
}

/// The table as the plainest CSV says it.
fn table() -> [Seen; 2] {
    seen(CSV, &two(csv(TRAIN, plain, number), csv(TEST, plain, number))).unwrap()
}

fn check(what: &str, spec: &str, files: &Files) {
    let found = seen(spec, files).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(found, table(), "{what}");
}

/// Both files changed in one way.
fn changed(what: &str, change: impl Fn(String) -> Vec<u8>) {
    let [a, b] = [TRAIN, TEST].map(|rows| change(csv(rows, plain, number)));
    check(what, CSV, &two(a, b));
}

#[test]
fn csv_line_ends_marks_quotes_and_packing_change_no_bit() {
    let mark = |text: String| [b"\xef\xbb\xbf", text.as_bytes()].concat();
    changed("a byte order mark", mark);
    changed("CRLF", |text| text.replace('\n', "\r\n").into());
    changed("CR", |text| text.replace('\n', "\r").into());
    changed("no last line end", |text| text.trim_end().into());
    changed("empty lines", |text| format!("\n{}\n\n", text.replace('\n', "\n\n")).into());
    changed("a mark and CRLF", |text| mark(text.replace('\n', "\r\n")));
    changed("spaces", |text| text.replace(',', " ,\t ").into());
    changed("quotes", |text| {
        format!("\"{}\"\n", text.trim_end().replace(',', "\",\"").replace('\n', "\"\n\"")).into()
    });
    changed("quotes after spaces", |text| {
        format!("\"{}\"\n", text.trim_end().replace(',', "\", \"").replace('\n', "\"\n\"")).into()
    });
    changed("packed under a plain name", |text| gz(text.as_bytes()));
    let [a, b] = [TRAIN, TEST].map(|rows| csv(rows, plain, number));
    let packed = vec![file("a.csv.gz", gz(a.as_bytes())), file("b.csv.gz", b.as_bytes())];
    check("packed, and unpacked under a packed name", CSV, &packed);
    check("exponents", CSV, &two(csv(TRAIN, |v| format!("{v:e}"), number), b.clone()));
    check("plus signs", CSV, &two(csv(TRAIN, |v| format!("{v:+.4}"), number), b));
}

#[test]
fn csv_columns_go_by_name_and_not_by_place() {
    let [a, b] = [TRAIN, TEST].map(|rows| csv(rows, plain, number));
    let named = |text: &str| format!("x,y,z,kind\n{text}");
    check("headers", CSV, &two(named(&a), named(&b)));
    let turn = |text: &str, order: [usize; 4]| -> String {
        let row = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            order.map(|k| cells[k]).join(",") + "\n"
        };
        text.lines().map(row).collect()
    };
    for order in [[3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let files = two(named(&a), turn(&named(&b), order));
        check("another order in the test file", CSV, &files);
        check("the same, the target by name", &format!("{CSV} target=kind"), &files);
        check("the same, by number", &format!("{CSV} target=3"), &files);
        check("the same, told of headers", &format!("{CSV} header=true"), &files);
    }
    let first = |text: &str| turn(text, [3, 0, 1, 2]);
    check("the target first", &format!("{CSV} target=first"), &two(first(&a), first(&b)));
    check("the target by number", &format!("{CSV} target=0"), &two(first(&a), first(&b)));
    // Files of three workers, the second with its columns in another order.
    let part = |rows| named(&csv(rows, plain, number));
    let files = vec![
        file("d/1.csv", part(0..9)),
        file("d/2.csv", turn(&part(9..15), [3, 1, 2, 0])),
        file("d/3.CSV", gz(part(15..24).as_bytes())),
        file("d/.hidden.csv", "?"),
        file("d/.ipynb_checkpoints/1.csv", "?"),
        file("d/notes.txt", "?"),
        file("b.csv", named(&b)),
    ];
    check("a folder of files", "csv file=d test=b.csv", &files);
}

#[test]
fn csv_columns_that_do_not_match_are_refused() {
    let say = |b: &str| seen(CSV, &two("x,y,k\n1,2,0\n3,5,1\n", b)).unwrap_err();
    assert_eq!(
        say("x,k\n1,0\n"),
        "b.csv: row 1: expected a column \"y\", as in the first file, found \"x,k\""
    );
    let more = say("x,y,z,k\n1,2,3,0\n");
    assert!(
        more.starts_with("b.csv: row 1, column 2: expected only columns that the first"),
        "{more}"
    );
    assert!(say("x,w,k\n1,2,0\n").starts_with("b.csv: row 1, column 1: expected only columns"));
    assert!(
        say("1,2,0\n3,5,1\n").starts_with("b.csv: row 1: expected the names of the first file")
    );
    assert!(say("x,x,k\n1,2,0\n").contains("expected a new name"), "{}", say("x,x,k\n1,2,0\n"));
    let bare = |b: &str| seen(CSV, &two("1,2,0\n3,5,1\n", b)).unwrap_err();
    assert_eq!(bare("1,0\n"), "b.csv: row 1: expected 3 columns, as in the first file, found 2");
    assert!(bare("1,2,3,0\n").starts_with("b.csv: row 1: expected 3 columns"));
    assert!(bare("x,y,k\n1,2,0\n").starts_with("b.csv: row 1: expected a sample, as the first"));
}

#[test]
fn csv_labels_may_be_renamed_shifted_or_have_gaps() {
    let ways: [(&str, fn(usize) -> String); 9] = [
        ("points", |c| format!("{c}.0")),
        ("signs", |c| format!("+{c}")),
        ("exponents", |c| format!("{c}e0")),
        ("shifted", |c| (c as i64 - 1).to_string()),
        ("gaps", |c| (c * c * 50).to_string()),
        ("halves", |c| (c as f64 / 2.0).to_string()),
        ("beyond doubles", |c| (9_007_199_254_740_992u64 + c as u64).to_string()),
        ("words", |c| ["ant", "bee", "cat"][c].into()),
        ("counted words", |c| ["c2", "c10", "c30"][c].into()),
    ];
    for (what, label) in ways {
        check(what, CSV, &two(csv(TRAIN, plain, label), csv(TEST, plain, label)));
    }
    // Spellings may be mixed, from row to row and from file to file.
    let mixed = |rows: Range<usize>| -> String {
        let row = |i: usize| {
            let [x, y, z] = features(i);
            let c = class(i);
            let label = [format!("{c}"), format!("{c}.00"), format!("+{c}"), format!("{c}e+0")];
            format!("{x},{y},{z},{}\n", label[i % 4])
        };
        rows.map(row).collect()
    };
    check("mixed spellings", CSV, &two(mixed(TRAIN), csv(TEST, plain, number)));
}

#[test]
fn rows_in_another_order_are_the_same_rows_to_the_bit() {
    let [train, test] = table();
    let turned: String =
        csv(TRAIN, plain, number).lines().rev().map(|l| format!("{l}\n")).collect();
    let [other, same] = seen(CSV, &two(turned, csv(TEST, plain, number))).unwrap();
    assert_eq!(same, test, "means and deviations do not depend on the order");
    assert!(other.inputs.chunks(3).rev().eq(train.inputs.chunks(3)));
    let (Targets::Labels(a), Targets::Labels(b)) = (&train.targets, &other.targets) else {
        panic!()
    };
    assert!(a.iter().rev().eq(b));
}

#[test]
fn shifts_and_scales_are_the_same_within_rounding() {
    let files = |change: &dyn Fn(f64) -> f64| {
        let say = |v: f64| format!("{:e}", change(v));
        two(csv(TRAIN, say, number), csv(TEST, say, number))
    };
    let ways: [(&str, &dyn Fn(f64) -> f64); 8] = [
        ("1e9 more", &|v| v + 1e9),
        ("1.7e9 less", &|v| v - 1.7e9),
        ("1e12 more", &|v| v + 1e12),
        ("1e-21 times", &|v| v * 1e-21),
        ("1e-300 times", &|v| v * 1e-300),
        ("1e300 times", &|v| v * 1e300),
        ("1e30 times and shifted", &|v| v * 1e30 + 1e36),
        ("3 times", &|v| v * 3.0),
    ];
    for (what, change) in ways {
        let found = seen(CSV, &files(change)).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(near(&found, &table(), 1e-3), "{what}");
        let bare = seen(&format!("{CSV} standardise=false"), &files(change));
        if what.contains("9 more") || what.contains("300") {
            let error = bare.unwrap_err();
            assert!(error.contains("single precision"), "{what}: {error}");
        }
    }
    let constant = |v: f64| seen(CSV, &two(format!("{v:e},1,0\n{v:e},2,1\n"), "1,1,0\n")).unwrap();
    for value in [0.0, 1e9, 1e-21, 0.1] {
        assert_eq!(constant(value)[0].inputs, [0.0, -1.0, 0.0, 1.0], "{value}");
    }
}

/// The table as LIBSVM says it.
fn libsvm(rows: Range<usize>, base: usize, label: impl Fn(usize) -> String) -> String {
    let row = |i: usize| {
        let entry = |(k, v): (usize, &f64)| format!(" {}:{v}", k + base);
        let entries: String = features(i).iter().enumerate().map(entry).collect();
        format!("{}{entries}\n", label(class(i)))
    };
    rows.map(row).collect()
}

#[test]
fn libsvm_says_the_same_as_csv_in_every_way() {
    const SPEC: &str = "libsvm file=a.csv test=b.csv standardise=true";
    let changed = |what: &str, change: &dyn Fn(String) -> Vec<u8>| {
        let [a, b] = [TRAIN, TEST].map(|rows| change(libsvm(rows, 1, number)));
        check(what, SPEC, &two(a, b));
    };
    changed("plain", &|text| text.into());
    changed("a byte order mark", &|text| [b"\xef\xbb\xbf", text.as_bytes()].concat());
    changed("CRLF", &|text| text.replace('\n', "\r\n").into());
    changed("CR", &|text| text.replace('\n', "\r").into());
    changed("no last line end", &|text| text.trim_end().into());
    changed("spaces at the ends", &|text| format!(" {}", text.replace('\n', " \t\n ")).into());
    changed("comments and queries", &|text| {
        text.replace('\n', " # note 1:2\n").replace(" 1:", " qid:7 1:").into()
    });
    changed("zeros left out", &|text| {
        ["1", "2", "3"]
            .iter()
            .fold(text, |t, k| {
                t.replace(&format!(" {k}:0\n"), "\n").replace(&format!(" {k}:0 "), " ")
            })
            .into()
    });
    changed("packed", &|text| gz(text.as_bytes()));
    let from_0 = [TRAIN, TEST].map(|rows| libsvm(rows, 0, number));
    check("from 0", &format!("{SPEC} base=0"), &two(from_0[0].clone(), from_0[1].clone()));
    let error = seen(SPEC, &two(from_0[0].clone(), from_0[1].clone())).unwrap_err();
    assert!(error.starts_with("a.csv: line 1: expected an index above 0 (base=0"), "{error}");
    let labels: [fn(usize) -> String; 3] =
        [|c| format!("+{c}"), |c| format!("{c}.0"), |c| (7 * c + 1).to_string()];
    for label in labels {
        check("labels", SPEC, &two(libsvm(TRAIN, 1, label), libsvm(TEST, 1, label)));
    }
}

/// The table as arrays of these kinds: x_train, y_train, x_test, y_test.
fn arrays(x: &str, y: &str, fortran: bool, label: impl Fn(usize) -> f64) -> Files {
    let mut out = Files::new();
    for (view, rows) in [("train", TRAIN), ("test", TEST)] {
        let n = rows.len();
        let all: Vec<[f64; 3]> = rows.clone().map(features).collect();
        let entries: Vec<f64> = match fortran {
            true => (0..3 * n).map(|i| all[i % n][i / n]).collect(),
            false => all.concat(),
        };
        let bytes = |kind: &str, values: &[f64]| -> Vec<u8> {
            values.iter().flat_map(|&v| number_as(kind, v)).collect()
        };
        let labels: Vec<f64> = rows.map(|i| label(class(i))).collect();
        out.push(file(&format!("x_{view}.npy"), npy(x, fortran, &[n, 3], &bytes(x, &entries))));
        out.push(file(&format!("y_{view}.npy"), npy(y, false, &[n], &bytes(y, &labels))));
    }
    out
}

fn number_as(kind: &str, v: f64) -> Vec<u8> {
    match kind {
        "<f8" => v.to_le_bytes().to_vec(),
        ">f8" => v.to_be_bytes().to_vec(),
        "<f4" => (v as f32).to_le_bytes().to_vec(),
        ">f4" => (v as f32).to_be_bytes().to_vec(),
        "<f2" => f16::from_f64(v).to_le_bytes().to_vec(),
        "<V2" => bf16::from_f64(v).to_le_bytes().to_vec(),
        "<i8" => (v as i64).to_le_bytes().to_vec(),
        ">i2" => (v as i16).to_be_bytes().to_vec(),
        "|u1" => vec![v as u8],
        other => panic!("{other}"),
    }
}

#[test]
fn arrays_say_the_same_as_csv_in_every_kind_order_and_archive() {
    const SPEC: &str = "npz file=d standardise=true";
    let folder = |files: &Files, end: &str| -> Files {
        files.iter().map(|(name, bytes)| (format!("d/{name}{end}"), bytes.clone())).collect()
    };
    let label = |c: usize| c as f64;
    for x in ["<f8", ">f8", "<f4", ">f4", "<f2", "<V2"] {
        for y in ["<i8", ">i2", "|u1", "<f4", ">f8"] {
            check(&format!("{x} {y}"), SPEC, &folder(&arrays(x, y, false, label), ""));
        }
        check(&format!("{x} turned"), SPEC, &folder(&arrays(x, "<i8", true, label), ""));
    }
    let plain = arrays("<f8", "<i8", false, label);
    check(
        "unpacked archive",
        "npz file=a.npz standardise=true",
        &vec![file("a.npz", zip(&plain, false))],
    );
    check(
        "packed archive",
        "npz file=a.npz standardise=true",
        &vec![file("a.npz", zip(&plain, true))],
    );
    let packed: Files = plain.iter().map(|(name, bytes)| (name.clone(), gz(bytes))).collect();
    check("packed arrays", SPEC, &folder(&packed, ""));
    check("packed arrays by name", SPEC, &folder(&packed, ".gz"));
    let shifts: [fn(usize) -> f64; 3] =
        [|c| c as f64 - 1.0, |c| 100.0 * c as f64 + 7.0, |c| 0.5 * c as f64];
    for shift in shifts {
        check("labels", SPEC, &folder(&arrays("<f8", "<f4", false, shift), ""));
    }
}

/// Images of 3 × 5 × 4: planes, or channels last.
fn planes(rows: &Range<usize>, last: bool) -> Vec<u8> {
    let value = |i: usize, c: usize, y: usize, x: usize| (i * 41 + c * 17 + y * 7 + x * 3) as u8;
    let mut out = Vec::new();
    for i in rows.clone() {
        for e in 0..60 {
            out.push(match last {
                true => value(i, e % 3, e / 12, e / 3 % 4),
                false => value(i, e / 20, e / 4 % 5, e % 4),
            });
        }
    }
    out
}

#[test]
fn images_in_arrays_are_the_same_with_their_channels_first_or_last() {
    let files = |kind: &str, last: bool, label: fn(usize) -> f64| -> Files {
        let mut out = Files::new();
        for (view, rows) in [("train", TRAIN), ("test", TEST)] {
            let n = rows.len();
            let shape = if last { [n, 5, 4, 3] } else { [n, 3, 5, 4] };
            let bytes = planes(&rows, last);
            let data =
                bytes.iter().flat_map(|&v| number_as(kind, f64::from(v))).collect::<Vec<u8>>();
            out.push(file(&format!("d/x_{view}.npy"), npy(kind, false, &shape, &data)));
            let labels: Vec<u8> = rows.flat_map(|i| number_as("<f8", label(class(i)))).collect();
            out.push(file(&format!("d/y_{view}.npy"), npy("<f8", false, &[n], &labels)));
        }
        out
    };
    let label = |c: usize| c as f64;
    let wanted = seen("npz file=d layout=chw", &files("|u1", false, label)).unwrap();
    assert_eq!((wanted[0].classes, wanted[0].shape.channels), (3, 3));
    let same = |spec: &str, files: Files| assert_eq!(seen(spec, &files).unwrap(), wanted, "{spec}");
    same("npz file=d", files("|u1", false, label));
    same("npz file=d", files("|u1", true, label));
    same("npz file=d layout=hwc", files("|u1", true, label));
    same("npz file=d", files("|u1", true, |c| 10.0 * c as f64 - 3.0));
    // Bytes in another kind of number are bytes.
    for (kind, last) in [("<f4", true), (">f8", false), ("<i8", true), (">i2", false)] {
        same("npz file=d", files(kind, last, label));
    }
    let mut odd = files("|u1", false, label);
    for (name, bytes) in odd.iter_mut().filter(|(name, _)| name.contains("x_")) {
        let n = if name.contains("train") { 24 } else { 8 };
        *bytes = npy("|u1", false, &[n, 6, 5, 2], &vec![0; n * 60]);
    }
    let error = seen("npz file=d", &odd).map(|found| found[0].shape.channels);
    assert_eq!(error, Ok(2), "two channels at the end are likelier than six in front");
    for (name, bytes) in odd.iter_mut().filter(|(name, _)| name.contains("x_")) {
        let n = if name.contains("train") { 24 } else { 8 };
        *bytes = npy("|u1", false, &[n, 3, 20, 1], &vec![0; n * 60]);
    }
    let error = seen("npz file=d", &odd).unwrap_err();
    assert!(error.contains("layout=hwc or layout=chw"), "{error}");
}

#[test]
fn idx_and_cifar_files_are_the_same_packed_dotted_or_in_a_folder() {
    let idx = |sizes: &[u32], data: Vec<u8>| -> Vec<u8> {
        let words = std::iter::once(0x800 + sizes.len() as u32).chain(sizes.iter().copied());
        words.flat_map(u32::to_be_bytes).chain(data).collect()
    };
    let mut files = Files::new();
    for (view, rows) in [("train", TRAIN), ("t10k", TEST)] {
        let n = rows.len() as u32;
        files.push(file(
            &format!("{view}-images-idx3-ubyte"),
            idx(&[n, 12, 5], planes(&rows, false)),
        ));
        let labels = rows.map(|i| class(i) as u8).collect();
        files.push(file(&format!("{view}-labels-idx1-ubyte"), idx(&[n], labels)));
    }
    let wanted = seen("mnist", &files).unwrap();
    let same = |change: &dyn Fn(&str, &[u8]) -> (String, Vec<u8>)| {
        let files: Files = files.iter().map(|(name, bytes)| change(name, bytes)).collect();
        assert_eq!(seen("mnist", &files).unwrap(), wanted);
    };
    same(&|name, bytes| (format!("{name}.gz"), gz(bytes)));
    same(&|name, bytes| (name.into(), gz(bytes)));
    same(&|name, bytes| (format!("{name}.gz"), bytes.into()));
    same(&|name, bytes| (format!("MNIST/raw/{}", name.replace("-idx", ".idx")), bytes.into()));

    let records = |labels: &[u8]| -> Vec<u8> {
        labels
            .iter()
            .flat_map(|&l| std::iter::once(l).chain((0..3072).map(move |k| (k as u8) ^ l)))
            .collect()
    };
    let mut files: Files =
        (1..=5).map(|k| file(&format!("data_batch_{k}.bin"), records(&[k, 0]))).collect();
    files.push(file("test_batch.bin", records(&[3, 1])));
    let spec = "cifar10 records=any flip=none";
    let wanted = seen(spec, &files).unwrap();
    for folder in ["", "cifar-10-batches-bin/", "cifar10/"] {
        let packed = |(name, bytes): &(String, Vec<u8>)| (format!("{folder}{name}"), gz(bytes));
        assert_eq!(seen(spec, &files.iter().map(packed).collect()).unwrap(), wanted);
    }
}

/// Picture folders of two classes by these names.
fn folders(names: [&str; 2], write: impl Fn(u8) -> (Vec<u8>, &'static str)) -> Files {
    let mut out = Files::new();
    for (split, first) in [("train", 0), ("val", 50)] {
        for k in 0..8u8 {
            let (bytes, end) = write(first + 9 * k);
            out.push(file(&format!("p/{split}/{}/{k}.{end}", names[usize::from(k % 2)]), bytes));
        }
    }
    out
}

const PICTURES: &str = "images file=p size=8 resize=8 flip=none";

#[test]
fn pictures_are_the_same_in_folders_of_other_names_and_beside_clutter() {
    let png = |which: u8| (encode(&picture(8, which, false), ImageFormat::Png), "png");
    let wanted = seen(PICTURES, &folders(["a", "b"], png)).unwrap();
    let same =
        |what: &str, files: Files| assert_eq!(seen(PICTURES, &files).unwrap(), wanted, "{what}");
    for names in [["0", "1"], ["2", "10"], ["-1", "1"], ["n2", "n10"], ["cat", "dog"]] {
        same("names", folders(names, png));
    }
    same("endings", folders(["a", "b"], |which| (png(which).0, "PNG")));
    same("a PNG under another name", folders(["a", "b"], |which| (png(which).0, "jpg")));
    let mut cluttered = folders(["a", "b"], png);
    for name in [
        "train/.ipynb_checkpoints/keep",
        "train/.ipynb_checkpoints/0-checkpoint.png",
        "train/.DS_Store",
        "train/a/.DS_Store",
        "train/a/._0.png",
        "train/a/Thumbs.db",
        "train/__MACOSX/a/0.png",
        "val/.hidden/1.png",
        "val/desktop.ini",
        "train/a/notes.txt",
        "train/b/.ipynb_checkpoints/0-checkpoint.png",
    ] {
        cluttered.push(file(&format!("p/{name}"), ""));
    }
    same("clutter", cluttered);
    let grey = |grey: bool| {
        let write = |which| {
            let one = picture(8, which, true);
            let one = if grey { one } else { one.to_rgb8().into() };
            (encode(&one, ImageFormat::Png), "png")
        };
        seen(PICTURES, &folders(["a", "b"], write)).unwrap()
    };
    assert_eq!(grey(true), grey(false), "grey in one channel and in three");
}

#[test]
fn pictures_are_turned_as_their_tags_say() {
    use image::metadata::Orientation;
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        for tag in 1..=8 {
            let stored = |which: u8| encode(&picture(8, which, false), format);
            let upright = |which: u8| {
                let mut one = image::load_from_memory(&stored(which)).unwrap();
                one.apply_orientation(Orientation::from_exif(tag).unwrap());
                (encode(&one, ImageFormat::Png), "png")
            };
            let tagged = |which: u8| (oriented(&stored(which), tag), "jpg");
            let wanted = seen(PICTURES, &folders(["a", "b"], upright)).unwrap();
            let found = seen(PICTURES, &folders(["a", "b"], tagged)).unwrap();
            assert_eq!(found, wanted, "{format:?} with tag {tag}");
        }
    }
    // By hand: tag 3 is upside down, tag 6 stands on its left side.
    let inputs = |tag: u8| {
        let write =
            |which| (oriented(&encode(&picture(8, which, false), ImageFormat::Png), tag), "png");
        let spec = format!("{PICTURES} normalise=none");
        seen(&spec, &folders(["a", "b"], write)).unwrap()[0].inputs[..64].to_vec()
    };
    let plain = inputs(1);
    assert!(inputs(3).iter().eq(plain.iter().rev()));
    let quarter: Vec<f32> = (0..64).map(|i| plain[(7 - i % 8) * 8 + i / 8]).collect();
    assert_eq!(inputs(6), quarter);
}
