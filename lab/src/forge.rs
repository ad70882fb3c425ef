//! `varangian forge`: what hostile workers would send beside these honest rows.

use crate::trial::TrialRule;
use crate::{Failure, aggregate, arrays};
use std::path::PathBuf;
use varangian_attacks::View;
use varangian_base::{Matrix, Rows, RowsMut, Seed, entry, spec};
use varangian_rules::Pipeline;

/// Arguments of `varangian forge`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The attack: "alie z=1.5"
    #[arg(long, value_name = "SPEC")]
    attack: String,
    /// The number of hostile rows to write
    #[arg(long)]
    f: usize,
    /// What the honest workers send: an .npy matrix, workers × coordinates, f32 or f64
    #[arg(long, value_name = "HONEST.npy")]
    input: PathBuf,
    /// Where all rows go, honest first, in the input's type
    #[arg(long, value_name = "ROWS.npy")]
    output: PathBuf,
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
    if about.facts.poisons {
        let text = format!("{} changes labels; rows have none", about.name);
        return Err(Failure::refused(text));
    }
    let mut attack = varangian_attacks::build(&args.attack)?;
    let honest = finite(&args.input)?;
    let (h, d) = (honest.finite.n(), honest.finite.d());
    attack.check(h, args.f, args.f).map_err(|condition| {
        Failure::refused(format!(
            "{} needs {condition}; got {h} honest rows and f = {}",
            about.name, args.f
        ))
    })?;
    let n = h + args.f;
    let mut probe = TrialRule::new(rule(args, about.name, attack.sees().rule, n)?, args.f);
    let own = own(args, &honest.finite)?;
    let mut all = vec![0.0; n * d];
    let (mine, theirs) = all.split_at_mut(h * d);
    for (i, row) in mine.chunks_exact_mut(d).enumerate() {
        row.copy_from_slice(honest.finite.row(i));
    }
    if args.f > 0 {
        let zeros = vec![0.0; d];
        let mut view = View {
            honest: honest.finite.rows(),
            own: own.rows(),
            beside: Rows::new(&[], 0, 0),
            n,
            f: args.f,
            step: 0,
            params: &zeros,
            previous: &zeros,
            server_momentum: &[],
            learning_rate: 1.0,
            probe: &mut probe,
            seed: Seed(args.seed),
        };
        attack.forge(&mut view, RowsMut::new(theirs, args.f, d));
    }
    arrays::write(&args.output, Rows::new(&all, n, d), honest.double)
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
        Some(text) => Ok(varangian_rules::build(text, n, args.f)?),
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
    let own = finite(path)?.finite;
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
