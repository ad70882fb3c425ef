//! Every kind of number, byte order and layout; one line for each fault.

use super::*;

/// A `.npy` file of this descr, order and shape.
fn file(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let text = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let length = (text.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), data].concat()
}

fn read_bytes(bytes: &[u8]) -> Result<Rows, Failure> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.npy");
    std::fs::write(&path, bytes).unwrap();
    read(&path)
}

/// The first row, in f64.
fn first(rows: &Rows) -> Vec<f64> {
    match &rows.finite {
        Values::Single(matrix) => matrix.row(0).iter().map(|&x| x.into()).collect(),
        Values::Double(rows) => rows[0].clone(),
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

#[test]
fn every_kind_of_number_is_read_as_it_is() {
    // As numpy 2 and ml_dtypes write [[1.5, -2.25, 0.1], [3, 4, 1e30]] and [.., [3, 4, 6e-8]].
    let bf16 =
        read_bytes(&file("'<V2'", false, "(2, 3)", &hex("c03f10c0cd3d404080404a71"))).unwrap();
    assert_eq!((bf16.kind, bf16.width()), ("bf16", "f32"));
    assert_eq!(first(&bf16), [1.5, -2.25, 0.10009765625]);
    let f16 =
        read_bytes(&file("'<f2'", false, "(2, 3)", &hex("003e80c0662e004200440100"))).unwrap();
    assert_eq!((f16.kind, f16.width()), ("f16", "f32"));
    assert_eq!(first(&f16), [1.5, -2.25, 0.0999755859375]);
    let Values::Single(rows) = &f16.finite else { panic!("f16 widens to f32") };
    assert_eq!(rows.row(1), [3.0, 4.0, 2f32.powi(-24)]);
    let raw = read_bytes(&file("'|V2'", false, "(1, 1)", &hex("c03f"))).unwrap();
    assert_eq!(first(&raw), [1.5]);
    // The ends of f16: infinity is refused, the largest number is not.
    let ends = read_bytes(&file("'<f2'", false, "(3, 1)", &hex("007cff7bff03"))).unwrap();
    assert_eq!((ends.refused.clone(), first(&ends)), (vec![0], vec![65504.0]));
    let double = [1.0 + 1e-12, -1e300].iter().flat_map(|x: &f64| x.to_be_bytes());
    let double = read_bytes(&file("'>f8'", false, "(1, 2)", &double.collect::<Vec<_>>())).unwrap();
    assert_eq!((first(&double), double.width()), (vec![1.0 + 1e-12, -1e300], "f64"));
    let whole = [-5i64, 1 << 53].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
    let whole = read_bytes(&file("'<i8'", false, "(1, 2)", &whole)).unwrap();
    assert_eq!((first(&whole), whole.width()), (vec![-5.0, 9_007_199_254_740_992.0], "f64"));
    assert_eq!(
        first(&read_bytes(&file("'|u1'", false, "(1, 2)", &[7, 255])).unwrap()),
        [7.0, 255.0]
    );
    let big = read_bytes(&file("'>i2'", false, "(1, 1)", &[1, 2])).unwrap();
    assert_eq!(first(&big), [258.0]);
}

#[test]
fn both_orders_read_the_same_and_rows_that_are_not_finite_are_named() {
    let values = [1.0, 2.0, 3.0, f64::NAN, 5.0, 1e300, 7.0, f64::INFINITY];
    let bytes = |order: &[usize]| -> Vec<u8> {
        order.iter().flat_map(|&i| values[i].to_le_bytes()).collect()
    };
    let c = file("'<f8'", false, "(4, 2)", &bytes(&[0, 1, 2, 3, 4, 5, 6, 7]));
    let fortran = file("'<f8'", true, "(4, 2)", &bytes(&[0, 2, 4, 6, 1, 3, 5, 7]));
    for bytes in [c, fortran] {
        let rows = read_bytes(&bytes).unwrap();
        assert_eq!((rows.ids.clone(), rows.refused.clone()), (vec![0, 2], vec![1, 3]));
        let Values::Double(finite) = &rows.finite else { panic!("f64 stays f64") };
        assert_eq!(finite, &[[1.0, 2.0], [5.0, 1e300]]);
    }
}

#[test]
fn each_fault_is_one_line() {
    let four = 1f32.to_le_bytes();
    let cases: &[(Vec<u8>, &str)] = &[
        (b"no array".to_vec(), "it is no .npy file"),
        (b"PK\x03\x04 and so on".to_vec(), "it is an .npz archive"),
        (vec![0x1f, 0x8b, 8, 0], "it is compressed by gzip"),
        (Vec::new(), "it is no .npy file"),
        (b"\x93NUMPY\x01\x00\xff\xff{".to_vec(), "it ends within its header"),
        (b"\x93NUMPY\x09\x00\x02\x00{}".to_vec(), "it is of .npy version 9"),
        (file("'<f4'", false, "(1,)", &four), "rows have two axes, workers × coordinates; found 1"),
        (file("'<f4'", false, "(1, 1, 1)", &four), "found 3"),
        (file("'<f4'", false, "()", &four), "found 0"),
        (file("'<f4'", false, "(0, 3)", &[]), "the matrix is empty"),
        (file("'<f4'", false, "(1, x)", &four), "shape holds no whole numbers"),
        (file("'<f4'", false, "(2, 2)", &four), "take 16 bytes; found 4: it is truncated"),
        (file("'<f4'", false, "(1, 1)", &[0; 6]), "take 4 bytes; found more: something follows"),
        (file("'<f4'", false, "(9999999999999999, 9999)", &four), "its header promises"),
        (file("'<c8'", false, "(1, 1)", &[0; 8]), "found <c8 (complex numbers)"),
        (file("'<f16'", false, "(1, 1)", &[0; 16]), "found <f16 (a wider float"),
        (file("'|b1'", false, "(1, 1)", &[0]), "found |b1 (booleans)"),
        (file("'|O'", false, "(1, 1)", &[0]), "found |O (Python objects)"),
        (file("'<V1'", false, "(1, 1)", &[0]), "float8 is not read"),
        (file("'<U3'", false, "(1, 1)", &[0; 12]), "found <U3 (text)"),
        (file("'\u{1b}[2J'", false, "(1, 1)", &[0]), "found \\u{1b}[2J"),
        (file("[('a', '<f4')]", false, "(1, 1)", &four), "found records of named fields"),
        (
            file("'<i8'", false, "(1, 2)", &[[1u8; 8], (1i64 << 53 | 1).to_le_bytes()].concat()),
            "row 0, column 0: a whole number beyond 2⁵³",
        ),
        (file("'<u8'", false, "(1, 1)", &[0xff; 8]), "a whole number beyond 2⁵³"),
        (file("'<i8'", false, "(1, 1)", &i64::MAX.to_le_bytes()), "beyond 2⁵³"),
    ];
    for (bytes, text) in cases {
        let error = read_bytes(bytes).err().unwrap_or_else(|| panic!("{text}: read"));
        let line = error.to_string();
        assert!(line.contains(text) && !line.contains('\n') && !line.contains('\u{1b}'), "{line}");
        assert_eq!(error.code(), 2);
    }
}

#[test]
fn no_more_is_read_than_a_header_promises_and_there_is_room_for() {
    let endless = |bytes: Vec<u8>, room| {
        let mut reader = std::io::Cursor::new(bytes).chain(std::io::repeat(0));
        whole(&mut reader, room)
    };
    let small = file("'<f4'", false, "(2, 3)", &[]);
    assert_eq!(endless(small.clone(), None).unwrap().len(), small.len() + 24 + 1);
    assert_eq!(endless(b"no array".to_vec(), None).unwrap().len(), 13);
    let far = file("'<f4'", false, "(10000000, 1000000)", &[]);
    let error = endless(far.clone(), Some(1 << 33)).unwrap_err();
    assert!(error.starts_with("its header promises 40000000000000 bytes, which take 8"), "{error}");
    // The same header on a file without the bytes, where nobody knows how much room there is.
    let mut short = std::io::Cursor::new(far.clone());
    assert_eq!(whole(&mut short, None).unwrap().len(), far.len());
    let error = read(Path::new("/dev/zero")).err().unwrap().to_string();
    assert!(error.contains("it is no .npy file"), "{error}");
    assert!(demand_room(1 << 63, 1).is_err() && demand_room(1 << 30, 1 << 30).is_err());
    demand_room(3, 10).unwrap();
}

#[test]
fn rows_that_f32_cannot_tell_apart_are_not_narrowed() {
    let read = |values: &[f64]| {
        let data: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let rows = read_bytes(&file("'<f8'", false, &format!("({}, 1)", values.len()), &data));
        rows.unwrap().narrow(Path::new("rows.npy"), ATTACKS)
    };
    assert_eq!(read(&[0.5, 1.0, -3.25]).unwrap().row(2), [-3.25]);
    assert_eq!(read(&[0.1, 0.1, 0.1]).unwrap().row(2), [0.1]);
    for values in [[1.0, 1.0 + 1e-12], [1e200, 0.0], [1e-300, 2e-300], [1.0, 1.0 + 1e-6]] {
        let line = read(&values).err().unwrap().to_string();
        assert!(line.contains("attacks compute in f32"), "{line}");
    }
}
