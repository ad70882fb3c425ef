//! `varangian forge`: what hostile workers would send beside these honest rows, or the labels that
//! they would train on.

mod labels;

use crate::{Failure, aggregate, arrays, print};
use arrays::{ATTACKS, Values};
use std::path::PathBuf;
use varangian_attacks::{Attack, AttackEntry, Ground, View};
use varangian_base::{Matrix, Seed, entry, spec};
use varangian_rules::Pipeline;
use varangian_train::{TrialRule, named};

/// What stands below the help.
const EXAMPLES: &str = "Examples:
  varangian forge --attack \"alie z=1.5\" --f 2 --input honest.npy --output rows.npy
  varangian forge --attack label-flip --f 1 --labels labels.npy --classes 10 --output flipped.npy";

/// Arguments of `varangian forge`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The attack: "alie z=1.5"
    #[arg(long, value_name = "SPEC")]
    attack: String,
    /// The number of hostile rows to write
    #[arg(long)]
    f: usize,
    /// What the honest workers send: an .npy matrix, workers × coordinates; "-" is standard input.
    /// Attacks compute in f32: f64 rows are rounded for them, and refused where that loses what
    /// tells rows apart
    #[arg(long, value_name = "HONEST.npy", required_unless_present = "labels")]
    input: Option<PathBuf>,
    /// Where all rows go, honest first and as they were given; f64 where those are. With --labels,
    /// where the changed labels go, as i64 in the shape in which they came
    #[arg(long, value_name = "ROWS.npy")]
    output: PathBuf,
    /// For attacks on labels, in place of rows: those that the hostile workers hold, whole numbers
    /// from 0, a vector for one worker or a row for each of f
    #[arg(long, value_name = "L.npy", conflicts_with_all = ["input", "own", "rule"])]
    labels: Option<PathBuf>,
    /// With --labels: the number of classes
    #[arg(long, requires = "labels")]
    classes: Option<u32>,
    /// What the hostile workers would have sent had they been honest; by default hostile worker j
    /// repeats honest row j
    #[arg(long, value_name = "OWN.npy")]
    own: Option<PathBuf>,
    /// The rule, for attacks that try rows on it
    #[arg(long, value_name = "SPEC")]
    rule: Option<String>,
    /// Seed of attacks that draw
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Reads honest rows, forges, writes all rows.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let spec = spec::parse(&args.attack)?;
    let about = entry::find("attack", varangian_attacks::ALL, &spec.name)?;
    let mut attack = varangian_attacks::build(&args.attack)?;
    if let Some(path) = &args.labels {
        return labels::run(args, &*attack, about, path);
    }
    let input = args.input.as_ref().expect("the command line asks for it");
    let given = finite(input)?;
    let honest = given.narrow(input, ATTACKS)?;
    let (h, d) = (honest.n(), honest.d());
    arrays::demand_room(args.f, d)?;
    demand(&*attack, about, (h, d), args.f)?;
    let n = h + args.f;
    let rule = match named(attack.as_ref(), (n, args.f))? {
        Some(named) => named,
        None => rule(args, about.name, attack.sees().rule, n)?,
    };
    let mut probe = TrialRule::new(rule, args.f);
    let own = own(args, &honest)?;
    let mut forged = Matrix::zeros(args.f, d);
    if args.f > 0 {
        let zeros = vec![0.0; d];
        // Hostile workers are the last ones, as in a training and in a duel.
        let ids: Vec<u32> = (0..n as u32).collect();
        let (honest, own) = (honest.rows().with_ids(&ids[..h]), own.rows().with_ids(&ids[h..]));
        let mut view = View {
            n,
            f: args.f,
            previous: &zeros,
            seed: Seed(args.seed),
            ..View::of(honest, own, &zeros, &mut probe)
        };
        attack.forge(&mut view, forged.rows_mut());
        let same = |i: usize| forged.row(i).iter().zip(own.row(i)).all(|(a, b)| a == b);
        if about.name != "none" && (0..args.f).all(same) {
            print::note(&format!(
                "{} sends what its workers would have sent anyway: one matrix is a first round, \
                 and there it does nothing",
                about.name
            ));
        }
    }
    write(args, &given, &forged)
}

/// All rows: the honest ones as they were given, then the forged ones.
fn write(args: &Args, given: &arrays::Rows, forged: &Matrix) -> Result<(), Failure> {
    let theirs = forged.rows();
    match &given.finite {
        Values::Single(honest) => {
            let mine = honest.rows();
            arrays::write(&args.output, &mine.iter().chain(theirs.iter()).collect::<Vec<_>>())
        }
        Values::Double(honest) => {
            let wide = |row: &[f32]| row.iter().map(|&x| f64::from(x)).collect();
            let theirs: Vec<Vec<f64>> = theirs.iter().map(wide).collect();
            let rows: Vec<&[f64]> = honest.iter().chain(&theirs).map(Vec::as_slice).collect();
            arrays::write(&args.output, &rows)
        }
    }
}

/// Whether the attack can act on h rows of d coordinates with f hostile ones beside them.
fn demand(
    attack: &dyn Attack,
    about: &AttackEntry,
    (h, d): (usize, usize),
    f: usize,
) -> Result<(), Failure> {
    let ids: Vec<u32> = (0..h as u32).collect();
    let fits = attack.fits(Ground { honest: &ids, d, classes: None, image: None });
    if about.facts.poisons && fits.is_err() {
        let text = format!("{} changes labels; rows have none, see --labels", about.name);
        return Err(Failure::refused(text));
    }
    attack.check(h, f, f).and(fits).map_err(|condition| {
        let name = about.name;
        Failure::refused(format!("{name} needs {condition}; got {h} honest rows and f = {f}"))
    })
}

/// Rows that must all be finite.
fn finite(path: &std::path::Path) -> Result<arrays::Rows, Failure> {
    let rows = arrays::read(path)?;
    match rows.refused.as_slice() {
        [] => Ok(rows),
        refused => Err(Failure::refused(format!(
            "{}: honest rows are finite; rows {} are not",
            path.display(),
            aggregate::list(refused)
        ))),
    }
}

fn rule(args: &Args, attack: &str, needed: bool, n: usize) -> Result<Pipeline, Failure> {
    match &args.rule {
        Some(text) => {
            let rule = varangian_rules::build(text, n, args.f)?;
            aggregate::demand_no_oracle(&rule)?;
            Ok(rule)
        }
        None if needed => {
            Err(Failure::refused(format!("{attack} tries rows on the rule; name it with --rule")))
        }
        // Nobody asks it.
        None => Ok(Pipeline::parse("average")?),
    }
}

fn own(args: &Args, honest: &Matrix) -> Result<Matrix, Failure> {
    let Some(path) = &args.own else {
        let mut own = Matrix::zeros(args.f, honest.d());
        for j in 0..args.f {
            own.row_mut(j).copy_from_slice(honest.row(j % honest.n()));
        }
        return Ok(own);
    };
    let own = finite(path)?.narrow(path, ATTACKS)?;
    if (own.n(), own.d()) == (args.f, honest.d()) {
        return Ok(own);
    }
    Err(Failure::refused(format!(
        "{}: own rows are f × d = {} × {}; found {} × {}",
        path.display(),
        args.f,
        honest.d(),
        own.n(),
        own.d()
    )))
}
