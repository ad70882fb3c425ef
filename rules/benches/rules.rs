//! What every rule costs, beside the plain mean of the same rows in the same run.
//!
//! `cargo bench --bench rules -- [--shape 25x5x1310922]… [--rule krum]… [--threads 1,2]
//! [--isa avx512,avx2,portable] [--npy FILE --f F] [--csv] [--quick] [--spec "nnm | krum"]…`
//!
//! Runs of the rule and of the mean alternate; "ratio" is the median of the quotients of
//! neighbours, which a busy machine disturbs least. Rows are bell-shaped noise around a common
//! vector, the last f of them far off. Stages around a rule are timed with `average`.

#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::hint::black_box;
use std::time::Instant;
use varangian_base::kernels::isa::{self, Isa};
use varangian_base::kernels::{combine, distances::Pairs};
use varangian_base::{Matrix, blocks};
use varangian_rules::{ALL, Family, Pipeline, Round, Verdict, build};

/// (n, f, d) unless told otherwise.
const SHAPES: [(usize, usize, usize); 4] =
    [(25, 5, 1_310_922), (51, 12, 79_510), (51, 12, 1_310_922), (16, 3, 10_000_000)];

/// The line that times all pairs of distances alone.
const DISTANCES: &str = "(all distances)";

struct Options {
    shapes: Vec<(usize, usize, usize)>,
    rules: Vec<String>,
    /// Pipelines to time instead of every entry.
    specs: Vec<String>,
    threads: Vec<usize>,
    sets: Vec<Isa>,
    npy: Option<String>,
    f: usize,
    csv: bool,
    seconds: f64,
}

fn main() {
    match options(std::env::args().skip(1)) {
        Ok(options) => run(&options),
        Err(error) => {
            println!("{error}");
            std::process::exit(2);
        }
    }
}

fn options(words: impl Iterator<Item = String>) -> Result<Options, String> {
    let isa = isa::requested().map_err(|error| error.to_string())?;
    let (shapes, rules, specs, sets) = Default::default();
    let mut o = Options {
        shapes,
        rules,
        specs,
        threads: vec![1, 2],
        sets,
        npy: None,
        f: 0,
        csv: false,
        seconds: 1.0,
    };
    let mut words = words;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let count =
            |word: &str| word.parse::<usize>().map_err(|_| format!("\"{word}\" is no count"));
        match word.as_str() {
            "--bench" => {}
            "--quick" => o.seconds = 0.1,
            "--csv" => o.csv = true,
            "--rule" => o.rules.push(value()?),
            "--spec" => o.specs.push(value()?),
            "--npy" => o.npy = Some(value()?),
            "--f" => o.f = count(&value()?)?,
            "--threads" => o.threads = value()?.split(',').map(count).collect::<Result<_, _>>()?,
            "--isa" => {
                let parse = |name| Isa::parse(name).map_err(|error| error.to_string());
                o.sets = value()?.split(',').map(parse).collect::<Result<_, _>>()?;
            }
            "--shape" => match value()?.split('x').map(count).collect::<Result<Vec<_>, _>>()?[..] {
                [n, f, d] => o.shapes.push((n, f, d)),
                _ => return Err("--shape takes n x f x d, as in 25x5x1310922".to_owned()),
            },
            _ => return Err(format!("unknown option \"{word}\"; see the head of the file")),
        }
    }
    if o.sets.is_empty() {
        o.sets.push(isa);
    }
    if o.shapes.is_empty() && o.npy.is_none() {
        o.shapes = SHAPES.to_vec();
    }
    Ok(o)
}

fn run(options: &Options) {
    if options.csv {
        println!("rule,n,f,d,threads,isa,ms,gb_s,mean_ms,ratio");
    }
    for &(n, f, d) in &options.shapes {
        table(options, &rows(n, f, d), f);
    }
    if let Some(path) = &options.npy {
        match read_npy(path) {
            Ok(rows) => table(options, &rows, options.f),
            Err(error) => println!("{path}: {error}"),
        }
    }
}

/// Every rule by name; a stage around a rule with `average`.
fn specs(options: &Options) -> Vec<String> {
    if !options.specs.is_empty() {
        return options.specs.clone();
    }
    let spec = |name: &str, family: Family| match family {
        Family::Rule => name.to_owned(),
        Family::PreAggregation => format!("{name} | average"),
        Family::MetaAggregation => format!("average | {name}"),
    };
    let own = ALL.iter().map(|entry| spec(entry.name, entry.facts.family));
    std::iter::once(DISTANCES.to_owned()).chain(own).collect()
}

fn table(options: &Options, rows: &Matrix, f: usize) {
    let (n, d) = (rows.n(), rows.rows().d());
    for &isa in &options.sets {
        for &threads in &options.threads {
            if !options.csv {
                println!("\nn = {n}, f = {f}, d = {d}, {threads} threads, {isa}");
                println!("{:<28} {:>10} {:>8} {:>10} {:>7}", "", "ms", "GB/s", "mean ms", "ratio");
            }
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads").install(|| {
                isa::with(isa, || {
                    for spec in specs(options).iter().filter(|spec| wanted(options, spec)) {
                        line(options, rows, f, spec, threads, isa);
                    }
                });
            });
        }
    }
}

fn wanted(options: &Options, spec: &str) -> bool {
    let names = &options.rules;
    names.is_empty()
        || names.iter().any(|name| spec == name || spec.starts_with(&format!("{name} ")))
        || names.iter().any(|name| spec.ends_with(&format!("| {name}")))
}

fn line(options: &Options, rows: &Matrix, f: usize, spec: &str, threads: usize, isa: Isa) {
    let (n, d) = (rows.n(), rows.rows().d());
    let (mut out, mut pairs, mut verdict) = (vec![0.0; d], Pairs::default(), Verdict::default());
    let timed = if spec == DISTANCES {
        measure(options.seconds, rows, || pairs.squared_distances(black_box(rows.rows())))
    } else {
        let pipeline = build(spec, n, f).map_err(|error| error.to_string());
        let asks = |p: Pipeline| {
            if p.needs_oracle() { Err("asks the server's loss".to_owned()) } else { Ok(p) }
        };
        match pipeline.and_then(asks) {
            Ok(mut pipeline) => measure(options.seconds, rows, || {
                let mut round = Round::of(black_box(rows.rows()), f);
                pipeline.aggregate(&mut round, black_box(&mut out), &mut verdict);
            }),
            Err(why) if options.csv => return println!("# {spec}: {why}"),
            Err(why) => return println!("{spec:<28} {why}"),
        }
    };
    let (ms, mean, ratio) = timed;
    let rate = (4 * n * d) as f64 / ms / 1e6;
    if options.csv {
        println!("{spec},{n},{f},{d},{threads},{isa},{ms:.4},{rate:.2},{mean:.4},{ratio:.3}");
    } else {
        println!("{spec:<28} {ms:>10.3} {rate:>8.2} {mean:>10.3} {ratio:>7.2}");
    }
}

/// Median milliseconds of `work` and of the mean, and the median of their quotients, alternating
/// for about `seconds`, three times at least, after one run of each to warm up.
fn measure(seconds: f64, rows: &Matrix, mut work: impl FnMut()) -> (f64, f64, f64) {
    let mut out = vec![0.0; rows.rows().d()];
    let mut mean = || combine::mean(black_box(rows.rows()), black_box(&mut out));
    let ms = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1e3
    };
    mean();
    work();
    let (begin, mut samples) = (Instant::now(), Vec::new());
    while samples.len() < 3 || begin.elapsed().as_secs_f64() < seconds {
        samples.push((ms(&mut work), ms(&mut mean)));
    }
    let median = |of: &dyn Fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    };
    (median(&|s| s.0), median(&|s| s.1), median(&|s| s.0 / s.1))
}

/// n rows of noise around a common vector, the last f at three times its negative.
fn rows(n: usize, f: usize, d: usize) -> Matrix {
    let mut matrix = Matrix::zeros(n, d);
    for i in 0..n {
        let hostile = i + f >= n;
        blocks::fill(matrix.row_mut(i), blocks::BLOCK, |range, part| {
            for (k, x) in range.zip(part) {
                let common = bell(k as u64) * 0.3;
                let centre = if hostile { -3.0 * common } else { common };
                *x = centre + bell((i as u64 + 1) << 40 | k as u64);
            }
        });
    }
    matrix
}

/// A bell-shaped number of variance 1/3 from a number: the sum of four uniform parts of a hash.
fn bell(x: u64) -> f32 {
    let mut z = x.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    let parts = (z & 0xFFFF) + (z >> 16 & 0xFFFF) + (z >> 32 & 0xFFFF) + (z >> 48);
    parts as f32 / 65536.0 - 2.0
}

/// An n × d matrix of little-endian f32 in C order (numpy's `.npy`, version 1 to 3).
fn read_npy(path: &str) -> Result<Matrix, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    if bytes.len() < 12 || &bytes[..6] != b"\x93NUMPY" {
        return Err("no .npy file".to_owned());
    }
    let (from, len) = match bytes[6] {
        1 => (10, u16::from_le_bytes([bytes[8], bytes[9]]) as usize),
        _ => (12, u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize),
    };
    let header = String::from_utf8_lossy(bytes.get(from..from + len).ok_or("cut short")?);
    if !header.contains("'<f4'") || !header.contains("'fortran_order': False") {
        return Err(format!("rows of f32 in C order are needed; found {header}"));
    }
    let shape = header.split("'shape': (").nth(1).and_then(|s| s.split(')').next());
    let sizes: Vec<usize> =
        shape.unwrap_or("").split(',').filter_map(|s| s.trim().parse().ok()).collect();
    let [n, d] = sizes[..] else {
        return Err(format!("an n × d matrix is needed; found {header}"));
    };
    let data = &bytes[from + len..];
    if data.len() != 4 * n * d {
        return Err(format!("{} bytes for {n} × {d} floats", data.len()));
    }
    let mut matrix = Matrix::zeros(n, d);
    for (i, row) in data.chunks_exact(4 * d).enumerate() {
        for (x, bytes) in matrix.row_mut(i).iter_mut().zip(row.as_chunks::<4>().0) {
            *x = f32::from_le_bytes(*bytes);
        }
    }
    Ok(matrix)
}
