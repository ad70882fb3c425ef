//! Hostile clients by name, against a server that trains meanwhile: what each of them tries, and
//! the code that refuses it. The server neither grows nor slows down for the honest.

// Rounds of honest workers are timed beside hostile ones, and the figures are shown.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

#[path = "hostile/frames.rs"]
mod frames;
#[path = "hostile/site.rs"]
mod site;

use site::{D, Site, chunk};
use std::time::Duration;
use tonic::Code;
use varangian_train::wire::Codec;

/// What becomes of a client.
#[derive(Clone, Debug, PartialEq)]
enum End {
    /// The call ends with this code.
    Status(Code),
    /// The message is refused with this reason, on a signed receipt.
    Refused(&'static str),
    /// It counts, as nothing is wrong with it.
    Counts,
    /// HTTP refuses it with this status, before gRPC sees it.
    Http(u16),
    /// The connection is closed.
    Closed,
    /// Nothing of the kind; what there was instead.
    Else(String),
}

use End::{Closed, Counts, Refused, Status};

type Case = (&'static str, fn(&Site) -> End, End);

/// Messages: their headers, their lengths, their chunks.
const MESSAGES: &[Case] = &[
    ("nothing at all", |s| s.push(vec![]), Status(Code::InvalidArgument)),
    ("a chunk without a header", |s| s.push(vec![chunk(24)]), Status(Code::InvalidArgument)),
    ("two headers", |s| s.push(vec![s.header(), s.header()]), Status(Code::InvalidArgument)),
    ("a header alone", |s| s.push(vec![s.header()]), Status(Code::DataLoss)),
    (
        "a header after the chunks",
        |s| s.push(vec![s.header(), chunk(20), s.header()]),
        Status(Code::InvalidArgument),
    ),
    ("a length of 0", |s| s.sized(0, 0), Refused("malformed")),
    ("a length of 0 and bytes", |s| s.sized(0, 24), Status(Code::InvalidArgument)),
    ("a byte too few", |s| s.sized(23, 23), Refused("malformed")),
    ("a byte too many", |s| s.sized(25, 25), Refused("wrong-length")),
    ("a length of 2^63", |s| s.sized(1 << 63, 24), Refused("wrong-length")),
    ("a length of 2^64 - 1", |s| s.sized(u64::MAX, 24), Refused("wrong-length")),
    ("fewer bytes than said", |s| s.sized(24, 20), Status(Code::DataLoss)),
    ("more bytes than said", |s| s.sized(24, 28), Status(Code::InvalidArgument)),
    ("a chunk that is too large", |s| s.sized(24, 300 << 10), Status(Code::OutOfRange)),
    (
        "a thousand empty chunks",
        |s| {
            let empty = std::iter::repeat_with(|| chunk(0)).take(1000);
            s.push(std::iter::once(s.header()).chain(empty).chain([chunk(24)]).collect())
        },
        Counts,
    ),
    ("a digest of other bytes", |s| s.digested(vec![1; 32]), Status(Code::DataLoss)),
    ("a digest of 31 bytes", |s| s.digested(vec![1; 31]), Status(Code::DataLoss)),
    ("a digest of a megabyte", |s| s.digested(vec![1; 1 << 20]), Status(Code::OutOfRange)),
    ("another run", |s| s.of_run(s.run() ^ 1), Status(Code::FailedPrecondition)),
    ("no run", |s| s.of_run(0), Status(Code::FailedPrecondition)),
    (
        "a step long over",
        |s| s.at(|now| (now.saturating_sub(5), now.saturating_sub(5))),
        Refused("wrong-step"),
    ),
    ("a step to come", |s| s.at(|now| (now + 1, now + 1)), Refused("wrong-step")),
    ("the last of all steps", |s| s.at(|_| (u64::MAX, u64::MAX)), Refused("wrong-step")),
    ("a number that is not the step's", |s| s.at(|now| (now, now + 1)), Refused("wrong-step")),
];

/// Numbers: what a row may not hold, and what it may.
const NUMBERS: &[Case] = &[
    ("NaN", |s| s.row(&[f32::NAN; D]), Refused("not-finite")),
    ("one infinity", |s| s.row(&[0.0, f32::INFINITY, 0.0, 0.0, 0.0, 0.0]), Refused("not-finite")),
    (
        "one negative infinity",
        |s| s.row(&[0.0, 0.0, 0.0, 0.0, 0.0, f32::NEG_INFINITY]),
        Refused("not-finite"),
    ),
    ("a signalling NaN", |s| s.row(&[f32::from_bits(0x7f80_0001); D]), Refused("not-finite")),
    ("negative zeros", |s| s.row(&[-0.0; D]), Counts),
    ("denormal numbers", |s| s.row(&[f32::from_bits(1); D]), Counts),
    ("the largest numbers", |s| s.row(&[f32::MAX; D]), Counts),
    ("a loss that is no number", |s| s.lossy(f64::NAN), Counts),
    ("a loss without end", |s| s.lossy(f64::NEG_INFINITY), Counts),
];

/// Twice and at once.
const REPEATED: &[Case] = &[
    ("the same message again", |s| s.twice(&[1.0; D], &[1.0; D]), Counts),
    ("another message for the step", |s| s.twice(&[1.0; D], &[2.0; D]), Refused("equivocation")),
    ("NaN, and then a row", |s| s.twice(&[f32::NAN; D], &[1.0; D]), Refused("equivocation")),
    ("two messages at once", Site::at_once, Status(Code::ResourceExhausted)),
    ("a message given up half-way, and then a row", Site::after_a_reset, Counts),
];

/// Who somebody says they are.
const NAMES: &[Case] = &[
    ("no name", |s| s.named(None), Status(Code::Unauthenticated)),
    ("an empty name", |s| s.named(Some("")), Status(Code::Unauthenticated)),
    ("a worker beyond the last", |s| s.named(Some("6")), Status(Code::Unauthenticated)),
    ("a negative worker", |s| s.named(Some("-1")), Status(Code::Unauthenticated)),
    ("worker 2^32", |s| s.named(Some("4294967296")), Status(Code::Unauthenticated)),
    ("a name that is no number", |s| s.named(Some("worker-1")), Status(Code::Unauthenticated)),
    (
        "a name with a line break in hexadecimal",
        |s| s.named(Some("0x0a")),
        Status(Code::Unauthenticated),
    ),
];

/// The other calls.
const CALLS: &[Case] = &[
    ("join without a protocol", |s| s.join(vec![], ""), Status(Code::FailedPrecondition)),
    ("join by another protocol", |s| s.join(vec![2], ""), Status(Code::FailedPrecondition)),
    (
        "join by two thousand protocols",
        |s| s.join((2..2_002).collect(), ""),
        Status(Code::FailedPrecondition),
    ),
    (
        "join by ten thousand protocols",
        |s| s.join((2..10_002).collect(), ""),
        Status(Code::OutOfRange),
    ),
    (
        "join with a megabyte of a name",
        |s| s.join(vec![1], &"a".repeat(1 << 20)),
        Status(Code::OutOfRange),
    ),
    ("pull of another run", |s| s.pull(s.run() ^ 1, 0), Status(Code::FailedPrecondition)),
    ("pull of a version that never comes", |s| s.pull(s.run(), u64::MAX), Status(Code::Cancelled)),
    ("watch another run", |s| s.watch(s.run() ^ 1), Status(Code::FailedPrecondition)),
    ("leave another run", |s| s.leave(s.run() ^ 1), Status(Code::FailedPrecondition)),
];

/// What no client of gRPC sends.
const WIRE: &[Case] = &[
    (
        "a call that does not exist",
        |s| s.raw("/varangian.ps.v1.ParameterServer/Give", &[], b""),
        Status(Code::Unimplemented),
    ),
    (
        "the administrator's calls",
        |s| s.raw("/varangian.ps.v1.Admin/Stop", &[], &frames::message(b"")),
        Status(Code::Unimplemented),
    ),
    (
        "a message that is no protocol buffer",
        |s| s.raw(PUSH, &[], &frames::message(&[0xff; 40])),
        Status(Code::Internal),
    ),
    (
        "a message that says 1 GiB",
        |s| s.raw(PUSH, &[], &frames::saying(1 << 30, &[0; 100])),
        Status(Code::OutOfRange),
    ),
    (
        "a join that says 100 KB",
        |s| s.raw(JOIN, &[], &frames::saying(100 << 10, &[0; 10])),
        Status(Code::OutOfRange),
    ),
    (
        "a message that says 4 GiB",
        |s| s.raw(PUSH, &[], &frames::saying(u32::MAX, &[0; 100])),
        Status(Code::OutOfRange),
    ),
    (
        "a message cut short",
        |s| s.raw(PUSH, &[], &frames::saying(100, &[0; 10])),
        Status(Code::Internal),
    ),
    (
        "a compressed message",
        |s| s.raw(PUSH, &[("grpc-encoding", "gzip")], &frames::squeezed(&[0; 10])),
        Status(Code::Unimplemented),
    ),
    ("a flag that does not exist", |s| s.raw(PUSH, &[], &[9, 0, 0, 0, 0]), Status(Code::Internal)),
    ("a header of 64 KiB", |s| s.raw(PUSH, &[("x", &"y".repeat(64 << 10))], b""), Closed),
    ("a megabyte of headers", frames::many_headers, Closed),
    ("HTTP/1.1", |s| frames::bytes(s, b"POST / HTTP/1.1\r\nhost: x\r\n\r\n"), Closed),
    ("noise", |s| frames::bytes(s, &[0xa5; 4096]), Closed),
    ("a frame of 16 MiB", |s| frames::frame(s, &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]), Closed),
    ("a frame of stream 0", |s| frames::frame(s, &[0, 0, 1, 0, 0, 0, 0, 0, 0, 0]), Closed),
    (
        "settings of a wrong length",
        |s| frames::frame(s, &[0, 0, 5, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5]),
        Closed,
    ),
    (
        "a window that overflows",
        |s| frames::frame(s, &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]),
        Closed,
    ),
    ("headers that go on for ever", frames::continued, Closed),
    ("ten thousand streams opened and reset", frames::reset, Closed),
];

const JOIN: &str = "/varangian.ps.v1.ParameterServer/Join";
const PUSH: &str = "/varangian.ps.v1.ParameterServer/Push";

/// What another codec's bytes may hold.
const CODECS: &[(&str, Codec, &[u8], End)] = &[
    ("signs: bits beyond the last", SIGNS, &[0xff; 4], Refused("malformed")),
    ("signs: two planes where one is due", SIGNS, &[0; 8], Refused("wrong-length")),
    ("signs: a row", SIGNS, &[0x3f, 0, 0, 0], Counts),
    ("ternary: one both votes and abstains", TERNARY, &BOTH, Refused("malformed")),
    ("ternary: one plane where two are due", TERNARY, &[0; 4], Refused("malformed")),
    ("top-k: an index twice", TOP, &top([1, 1]), Refused("malformed")),
    ("top-k: indices that descend", TOP, &top([2, 1]), Refused("malformed")),
    ("top-k: an index beyond the last", TOP, &top([1, 6]), Refused("malformed")),
    ("top-k: the largest index", TOP, &top([1, u32::MAX]), Refused("malformed")),
    ("top-k: half a coordinate", TOP, &[0; 12], Refused("malformed")),
    ("top-k: too many", TOP, &[0; 24], Refused("wrong-length")),
    (
        "bfloat16: an infinity",
        Codec::Bf16,
        &[0, 0, 0, 0, 0x80, 0x7f, 0, 0, 0, 0, 0, 0],
        Refused("not-finite"),
    ),
    (
        "half precision: an infinity",
        Codec::F16,
        &[0, 0, 0, 0, 0, 0x7c, 0, 0, 0, 0, 0, 0],
        Refused("not-finite"),
    ),
];

const SIGNS: Codec = Codec::Signs { ternary: false };
const TERNARY: Codec = Codec::Signs { ternary: true };
const TOP: Codec = Codec::TopK { kept: 2 };
const BOTH: [u8; 8] = [1, 0, 0, 0, 1, 0, 0, 0];

/// Two coordinates of a top-k message, both 1.
const fn top(indices: [u32; 2]) -> [u8; 16] {
    let (a, b) = (indices[0].to_le_bytes(), indices[1].to_le_bytes());
    let one = 1.0f32.to_le_bytes();
    let mut out = [0; 16];
    let mut k = 0;
    while k < 4 {
        (out[k], out[4 + k], out[8 + k], out[12 + k]) = (a[k], b[k], one[k], one[k]);
        k += 1;
    }
    out
}

/// Tries each case, a few times where the round was closed between what it read and what it sent.
fn try_all(site: &Site, cases: &[Case]) {
    let mut others = Vec::new();
    for (name, case, due) in cases {
        let mut found = case(site);
        for _ in 0..8 {
            if found == *due {
                break;
            }
            found = case(site);
        }
        if found != *due {
            others.push(format!("{name}: {found:?}, where {due:?} is due"));
        }
    }
    assert!(others.is_empty(), "{others:#?}");
}

/// Kilobytes of memory that this process has.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line of it");
    line.split_whitespace().nth(1).and_then(|size| size.parse().ok()).expect("a number")
}

#[test]
fn each_hostile_client_meets_its_code_and_costs_the_honest_nothing() {
    let site = Site::open(Codec::F32);
    let all = [MESSAGES, NUMBERS, REPEATED, NAMES, CALLS, WIRE];
    assert!(all.iter().map(|cases| cases.len()).sum::<usize>() + CODECS.len() >= 60);
    // Whatever is allocated once is there.
    try_all(&site, NUMBERS);
    let before = memory();
    let mut ratios = Vec::new();
    // A machine that does other things as well is given three tries.
    while ratios.last().is_none_or(|ratio| *ratio >= 1.2) && ratios.len() < 3 {
        let quiet = site.rounds_during(|| std::thread::sleep(Duration::from_secs(4)));
        let attacked = site.rounds_during(|| try_all(&site, &all.concat()));
        ratios.push(attacked / quiet);
    }
    let grown = memory().saturating_sub(before);
    println!("rounds take {ratios:.3?} of their time, and the process grew by {grown} kB");
    assert!(ratios.last().is_some_and(|ratio| *ratio < 1.2), "{ratios:?}");
    assert!(grown < 64 << 10, "{grown} kB");
    site.close();
}

#[test]
fn what_no_codec_writes_is_refused() {
    for codec in [SIGNS, TERNARY, TOP, Codec::Bf16, Codec::F16] {
        let site = Site::open(codec);
        for (name, _, bytes, due) in CODECS.iter().filter(|(_, of, ..)| *of == codec) {
            let mut found = site.body(bytes);
            for _ in 0..8 {
                if found == *due {
                    break;
                }
                found = site.body(bytes);
            }
            assert_eq!(found, *due, "{name}");
        }
        site.close();
    }
}

#[test]
fn a_message_that_stands_still_is_given_up() {
    let site = Site::open(Codec::F32);
    assert_eq!(site.stands_still(), Status(Code::DeadlineExceeded));
    // Its place is free again.
    assert_eq!((0..8).map(|_| site.row(&[1.0; D])).find(|end| *end == Counts), Some(Counts));
    site.close();
}

#[test]
fn calls_that_are_left_half_sent_take_little_memory() {
    let site = Site::open(Codec::F32);
    try_all(&site, NUMBERS);
    for path in [JOIN, PUSH] {
        let before = memory();
        let grown = frames::half_sent(&site, path, || memory().saturating_sub(before));
        println!("640 half-sent calls of {path}: {grown} kB");
        assert!(grown < 32 << 10, "{path}: {grown} kB");
    }
    // Nobody else is kept out by them.
    assert_eq!((0..8).map(|_| site.row(&[1.0; D])).find(|end| *end == Counts), Some(Counts));
    site.close();
}
