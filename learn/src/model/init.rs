//! Initial parameters.

use varangian_base::{Args, Domain, Kind, Param, Seed, SpecError};

/// How weights and biases are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Weights and biases uniform on ±1/√(fan in): PyTorch's default for linear and convolution.
    Torch,
    /// Weights uniform on ±√(6 / (fan in + fan out)), biases 0 (Glorot and Bengio 2010; MXNet's
    /// `Xavier()`).
    Xavier,
    /// Weights normal with variance 2 / fan in, biases 0 (He et al. 2015).
    Kaiming,
    /// All 0: a saddle wherever there is a hidden layer, as no gradient passes it.
    Zeros,
}

/// The parameter by which every network takes its scheme.
pub(crate) const PARAM: Param = Param {
    name: "init",
    kind: Kind::Choice(&["torch", "xavier", "kaiming", "zeros"]),
    default: "torch",
    help: "initial parameters: torch, weights and biases uniform on ±1/√(fan in); xavier, weights \
           uniform on ±√(6/(fan in + fan out)), biases 0; kaiming, weights normal with variance \
           2/(fan in), biases 0; zeros, a saddle wherever there is a hidden layer",
};

/// The parameter by which a network starts where a publication's did. The network must make its
/// layers in PyTorch's order and each of them once.
pub(crate) const SEED: Param = Param {
    name: "init-seed",
    kind: Kind::Count { min: 0, max: u32::MAX as usize },
    default: "auto",
    help: "auto: initial parameters are drawn from the run's seed; a number: they are those, bit \
           for bit, that PyTorch draws on a CPU after torch.manual_seed(number)",
};

/// PyTorch's seed of the initial parameters, or `None`: the run's.
///
/// # Errors
/// If another scheme than PyTorch's is asked for beside it.
pub(crate) fn seed(args: &Args) -> Result<Option<u32>, SpecError> {
    if !args.is_declared(SEED.name) {
        return Ok(None);
    }
    let seed = args.count(SEED.name).map(|seed| seed as u32);
    match (Scheme::named(args.text(PARAM.name)), seed) {
        (Scheme::Xavier | Scheme::Kaiming | Scheme::Zeros, Some(_)) => {
            Err(SpecError::new(format!(
                "init-seed is PyTorch's seed of init=torch; found init={}",
                args.text(PARAM.name)
            )))
        }
        _ => Ok(seed),
    }
}

impl Scheme {
    /// From the checked text of [`PARAM`].
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "xavier" => Scheme::Xavier,
            "kaiming" => Scheme::Kaiming,
            "zeros" => Scheme::Zeros,
            _ => Scheme::Torch,
        }
    }

    /// How a weight with these fans is drawn.
    pub(crate) fn weight(self, fan_in: usize, fan_out: usize) -> Draw {
        match self {
            Scheme::Torch => Draw::Uniform(1.0 / (fan_in as f32).sqrt()),
            Scheme::Xavier => Draw::Uniform((6.0 / (fan_in + fan_out) as f32).sqrt()),
            Scheme::Kaiming => Draw::Normal((2.0 / fan_in as f64).sqrt()),
            Scheme::Zeros => Draw::Constant(0.0),
        }
    }

    /// How the bias beside a weight with this fan is drawn.
    pub(crate) fn bias(self, fan_in: usize) -> Draw {
        match self {
            Scheme::Torch => Draw::Uniform(1.0 / (fan_in as f32).sqrt()),
            Scheme::Xavier | Scheme::Kaiming | Scheme::Zeros => Draw::Constant(0.0),
        }
    }
}

/// How one tensor is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Draw {
    /// Uniform on ± this.
    Uniform(f32),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// All entries this.
    Constant(f32),
}

impl Draw {
    /// Fills tensor number `index` of a run.
    pub(crate) fn fill(self, seed: Seed, index: usize, out: &mut [f32]) {
        let mut stream = seed.lane(Domain::Init, 0, 0, index as u64);
        match self {
            Draw::Uniform(bound) => {
                out.iter_mut().for_each(|x| *x = stream.between(-bound, bound));
            }
            Draw::Normal(deviation) => {
                out.iter_mut().for_each(|x| *x = (stream.normal() * deviation) as f32);
            }
            Draw::Constant(value) => out.fill(value),
        }
    }
}
