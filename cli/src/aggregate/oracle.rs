//! What a server knows by itself, for rules that ask: its own gradient, or losses.

use super::Args;
use crate::{Failure, arrays};
use std::path::Path;
use varangian_base::Rows;
use varangian_rules::{Oracle, Pipeline};

/// The server's own knowledge, as files give it.
#[derive(Default)]
pub(super) struct Given {
    gradient: Vec<f32>,
    /// The loss after a step along each row; taken in order.
    losses: Vec<f64>,
    next: usize,
    /// Where ‖x − minimum‖²/2 is least.
    minimum: Vec<f32>,
    /// The parameters at which the rows were taken.
    pub(super) params: Vec<f32>,
}

impl Given {
    /// What the rule asks for and the arguments give; `None` where it asks for nothing. `ids` are
    /// the rows that are left of n.
    ///
    /// # Errors
    /// If something is missing, is given in vain, or does not fit.
    pub(super) fn read(
        args: &Args,
        rule: &Pipeline,
        ids: &[u32],
        (n, d): (usize, usize),
    ) -> Result<Option<Given>, Failure> {
        let name = rule.entry().name;
        let options = [
            ("--server-gradient", args.server_gradient.is_some()),
            ("--losses", args.losses.is_some()),
            ("--minimum", args.minimum.is_some()),
            ("--params", args.params.is_some()),
            ("--learning-rate", args.learning_rate.is_some()),
        ];
        let wanted: &[&str] = match (rule.needs_oracle(), name) {
            (false, _) => &[],
            (true, "fltrust") => &["--server-gradient"],
            (true, _) => &["--losses", "--minimum", "--params", "--learning-rate"],
        };
        let vain = options.iter().find(|(option, given)| *given && !wanted.contains(option));
        if let Some((option, _)) = vain {
            return Err(Failure::refused(format!("{option}: {} does not ask for it", rule.spec())));
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        if args.losses.is_some() && args.params.is_some() {
            let text = "--params: losses that are given say all; it is of use with --minimum";
            return Err(Failure::refused(text));
        }
        if let Some(rate) = args.learning_rate.filter(|rate| !(*rate > 0.0 && rate.is_finite())) {
            let text = format!("--learning-rate is a number above 0; got {rate}");
            return Err(Failure::refused(text));
        }
        let single = |path: &Path| single(path, d, name);
        let mut given = Given { params: vec![0.0; d], ..Given::default() };
        match (&args.server_gradient, &args.losses, &args.minimum) {
            (Some(path), None, None) => given.gradient = single(path)?,
            (None, Some(path), None) => {
                if rule.entries()[0].name != name {
                    return Err(Failure::refused(format!(
                        "--losses are of the rows as they were sent; {} mixes them first",
                        rule.spec()
                    )));
                }
                let all = arrays::read_vector(path, n, "row")?;
                given.losses = ids.iter().map(|&id| all[id as usize]).collect();
            }
            (None, None, Some(path)) => given.minimum = single(path)?,
            _ => return Err(missing(name)),
        }
        if let Some(path) = &args.params {
            given.params = single(path)?;
        }
        Ok(Some(given))
    }
}

/// A vector of d numbers in f32.
fn single(path: &Path, d: usize, rule: &str) -> Result<Vec<f32>, Failure> {
    let numbers = arrays::read_vector(path, d, "coordinate")?;
    let narrow: Vec<f32> = numbers.iter().map(|&x| x as f32).collect();
    match narrow.iter().position(|x| !x.is_finite()) {
        Some(k) => Err(Failure::refused(format!(
            "{}: {rule} computes in f32; coordinate {k} is {:e}",
            path.display(),
            numbers[k]
        ))),
        None => Ok(narrow),
    }
}

/// What the rule asks for is not there.
fn missing(rule: &str) -> Failure {
    let what = match rule {
        "fltrust" => "the server's own gradient with --server-gradient G.npy",
        _ => {
            "either the losses after a step along each row with --losses L.npy, or a quadratic \
             with --minimum X.npy"
        }
    };
    Failure::refused(format!("{rule} asks for the loss on data; give it {what}"))
}

impl Oracle for Given {
    fn refresh(&mut self) {
        self.next = 0;
    }

    fn loss(&mut self, params: &[f32]) -> f64 {
        if let Some(loss) = self.losses.get(self.next) {
            self.next += 1;
            return *loss;
        }
        let apart = |(x, m): (&f32, &f32)| f64::from(*x) - f64::from(*m);
        params.iter().zip(&self.minimum).map(apart).map(|x| x * x).sum::<f64>() / 2.0
    }

    fn losses(&mut self, candidates: Rows<'_>, out: &mut [f64]) {
        for (i, loss) in out.iter_mut().enumerate() {
            *loss = self.loss(candidates.row(i));
        }
    }

    fn gradient(&mut self, _: &[f32], out: &mut [f32]) -> f64 {
        out.copy_from_slice(&self.gradient);
        0.0
    }
}
