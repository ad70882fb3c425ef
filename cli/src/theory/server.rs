//! `varangian theory zeno`, `zeno-pp` and `safeguard`: servers that check what they are sent.

use crate::{Failure, print};
use std::path::PathBuf;
use varangian_base::Seed;
use varangian_papers::theory::{Sheet, safeguard, zeno, zeno_pp};

/// Arguments of `varangian theory zeno`.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)] // refused by what they are for
pub(super) struct Zeno {
    /// n, the number of workers
    #[arg(long, default_value_t = 20)]
    workers: u64,
    /// q, numbers of hostile workers
    #[arg(long, value_delimiter = ',', default_value = "0,8,12")]
    hostile: Vec<u64>,
    /// b, numbers of gradients that are dropped
    #[arg(long, value_delimiter = ',', default_value = "4,9,16")]
    trimmed: Vec<u64>,
    /// T, the number of steps
    #[arg(long, default_value_t = 10_000)]
    steps: u64,
    /// F(x₀) − F*
    #[arg(long, default_value_t = 2.0)]
    gap: f64,
    /// L
    #[arg(long, default_value_t = 4.0)]
    smoothness: f64,
    /// μ of the lower Taylor bound, below 0 where the loss is not convex
    #[arg(long, default_value_t = -1.0)]
    curvature: f64,
    /// V, of an honest gradient
    #[arg(long, default_value_t = 0.5)]
    variance: f64,
    /// G, the mean square of an honest gradient
    #[arg(long, default_value_t = 3.0)]
    square: f64,
    /// e of the server's samples: ‖∇f_r − ∇F‖² ≤ e + c‖∇F‖²
    #[arg(long, default_value_t = 0.01)]
    e: f64,
    /// c of the server's samples
    #[arg(long, default_value_t = 0.1)]
    c: f64,
    /// Trials of the lemma
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    trials: u32,
    /// The seed of the trials
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Zeno {
    pub(super) fn sheet(&self) -> Result<Sheet, Failure> {
        let numbers = zeno::Numbers {
            workers: self.workers,
            hostile: self.hostile.clone(),
            trimmed: self.trimmed.clone(),
            steps: self.steps,
            problem: zeno::Problem {
                gap: self.gap,
                smoothness: self.smoothness,
                curvature: self.curvature,
                variance: self.variance,
                square: self.square,
            },
            dissimilarity: (self.e, self.c),
            trials: self.trials,
            seed: Seed(self.seed),
        };
        numbers.tables()
    }
}

/// Arguments of `varangian theory zeno-pp`.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)] // refused by what they are for
pub(super) struct ZenoPp {
    /// γ, the step size
    #[arg(long, default_value_t = 0.1)]
    gamma: f64,
    /// ρ, penalties
    #[arg(long, value_delimiter = ',', default_value = "0.001,0.002,0.004,0.008")]
    rho: Vec<f64>,
    /// ε, how much worse a gradient may be
    #[arg(long, default_value_t = 0.0)]
    epsilon: f64,
    /// k, received gradients from one validation gradient to the next
    #[arg(long, default_value_t = 10)]
    refresh: u64,
    /// L of the validation loss
    #[arg(long, default_value_t = 1.0)]
    smoothness: f64,
    /// f_s(x₀) − f_s*
    #[arg(long, default_value_t = 2.0)]
    gap: f64,
    /// A, the number of accepted gradients
    #[arg(long, default_value_t = 100_000)]
    accepted: u64,
}

impl ZenoPp {
    pub(super) fn sheet(&self) -> Result<Sheet, Failure> {
        let numbers = zeno_pp::Numbers {
            gamma: self.gamma,
            rho: self.rho.clone(),
            epsilon: self.epsilon,
            refresh: self.refresh,
            smoothness: self.smoothness,
            gap: self.gap,
            accepted: self.accepted,
        };
        numbers.tables()
    }
}

/// Arguments of `varangian theory safeguard`.
#[derive(clap::Args)]
#[command(allow_negative_numbers = true)] // refused by what they are for
pub(super) struct Safeguard {
    /// m, the number of workers
    #[arg(long, default_value_t = 10)]
    workers: u64,
    /// α, hostile shares
    #[arg(long, value_delimiter = ',', default_value = "0,0.1,0.2,0.3,0.4")]
    share: Vec<f64>,
    /// d, the number of parameters
    #[arg(long, default_value_t = 1000)]
    dimension: u64,
    /// ε, the norm of the gradient that is asked for
    #[arg(long, default_value_t = 0.1)]
    epsilon: f64,
    /// f(x₀) − min f
    #[arg(long, default_value_t = 1.0)]
    gap: f64,
    /// p, the probability of ever expelling an honest worker
    #[arg(long, default_value_t = 0.01)]
    p: f64,
    /// T of the threshold's table
    #[arg(long, default_value_t = 1000)]
    steps: u64,
    /// Also run SafeguardSGD from a saddle, without noise and with it, and draw the loss and the
    /// Hessian's least eigenvalue to FILE.svg and FILE.png
    #[arg(long, value_name = "FILE")]
    measure: Option<PathBuf>,
    /// Steps of these runs [default: the experiment's 1200]
    #[arg(long, value_name = "STEPS", requires = "measure", value_parser = clap::value_parser!(u64).range(1..))]
    measure_steps: Option<u64>,
}

impl Safeguard {
    pub(super) fn sheet(&self) -> Result<Sheet, Failure> {
        let numbers = safeguard::Numbers {
            workers: self.workers,
            shares: self.share.clone(),
            dimension: self.dimension,
            epsilon: self.epsilon,
            gap: self.gap,
            p: self.p,
            steps: self.steps,
        };
        numbers.tables()
    }

    /// Whether runs are asked for beside the bounds.
    pub(super) fn measures(&self) -> bool {
        self.measure.is_some()
    }

    /// Runs from a saddle, where they are asked for.
    pub(super) fn measured(&self) -> Result<(), Failure> {
        let Some(path) = &self.measure else { return Ok(()) };
        let (table, picture) = safeguard::Numbers::measured(self.measure_steps)?;
        print::line("\nFrom a saddle, on 1000 training samples");
        print::line(&table);
        picture.write(path)
    }
}
