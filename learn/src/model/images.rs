//! What all networks on images share: their recipe, and the parameters of the layers that several
//! of them have.

use super::Model;
use super::dropout::Masks;
use super::entry::Recipe;
use super::geometry::Method;
use super::init::{self, Scheme};
use super::loss::Loss;
use super::network::Network;
use super::norm::Statistics;
use super::plan::{Plan, Style};
use crate::data::Shape;
use crate::kernels::image::Border;
use varangian_base::{Args, Kind, Param, SpecError};

/// A network on images with cross-entropy.
pub(crate) struct Images {
    style: Style,
    args: Args,
    layers: Layers,
    /// PyTorch's seed of the initial parameters, if not the run's.
    start: Option<u32>,
}

/// Adds the layers for this many classes.
pub(crate) type Layers = fn(&Args, &mut Plan, usize) -> Result<(), SpecError>;

impl Images {
    /// The network of these layers, in the style that the parameters ask for, of those that the
    /// entry declares.
    pub(crate) fn recipe(args: &Args, layers: Layers) -> Result<Box<dyn Recipe>, SpecError> {
        Images::bordered(args, Border::Zeros, layers)
    }

    /// The same with another border than zeros around images.
    pub(crate) fn bordered(
        args: &Args,
        border: Border,
        layers: Layers,
    ) -> Result<Box<dyn Recipe>, SpecError> {
        let style = Style { border, ..style(args) };
        Ok(Box::new(Images { style, args: args.clone(), layers, start: init::seed(args)? }))
    }
}

impl Recipe for Images {
    fn build(&self, shape: Shape, classes: usize) -> Result<Box<dyn Model>, SpecError> {
        if classes < 2 {
            return Err(SpecError::new(format!(
                "needs a data set with 2 classes or more; this one has {classes} classes"
            )));
        }
        let mut plan = Plan::image(shape, self.style);
        (self.layers)(&self.args, &mut plan, classes)?;
        Ok(Box::new(Network::new(plan, Loss::CrossEntropy).starting(self.start)))
    }
}

/// The parameter of networks with batch normalisation.
pub(crate) const NORM: Param = Param {
    name: "norm",
    kind: Kind::Choice(&["batch", "frozen-init"]),
    default: "batch",
    help: "batch: normalise by the batch in training and by running statistics in inference; \
           frozen-init: by mean 0 and variance 1 always, as a network whose training never leaves \
           evaluation mode",
};

/// The parameter of networks with dropout.
pub(crate) const DROPOUT: Param = Param {
    name: "dropout",
    kind: Kind::Flag,
    default: "true",
    help: "whether dropout layers drop in training",
};

/// The parameter of the same networks that correlates their workers.
pub(crate) const MASKS: Param = Param {
    name: "dropout-masks",
    kind: Kind::Choice(&["own", "shared", "frozen"]),
    default: "own",
    help: "own: every worker draws its own dropout masks; shared: in a step all workers draw the \
           same (the server too, where it takes gradients), as processes do that seed PyTorch \
           alike and go through batches of one size; frozen: these are the same in many steps too, \
           as in code that puts PyTorch's generator back after each worker (bucketing's)",
};

/// The parameter of the same networks that says how long frozen masks stay.
pub(crate) const HOLD: Param = Param {
    name: "dropout-hold",
    kind: Kind::Count { min: 0, max: usize::MAX },
    default: "0",
    help: "steps in which frozen masks stay the same before new ones are drawn; 0: for ever; 30 as \
           in bucketing's code, where each test, after 30 steps, moves the generator on",
};

/// The parameter of networks whose dropout follows a convolution.
pub(crate) const UNIT: Param = Param {
    name: "dropout-unit",
    kind: Kind::Choice(&["element", "channel"]),
    default: "element",
    help: "what drops as one: an element, or a sample's whole channel (PyTorch's Dropout2d), as in \
           bucketing's code",
};

/// The style that the parameters ask for, of those that the entry declares.
fn style(args: &Args) -> Style {
    let is = |param: &Param, text| args.is_declared(param.name) && args.text(param.name) == text;
    Style {
        scheme: Scheme::named(args.text("init")),
        method: Method::named(args.text("conv")),
        statistics: match is(&NORM, "frozen-init") {
            true => Statistics::FrozenInit,
            false => Statistics::Batch,
        },
        border: Border::Zeros,
        masks: (!is(&DROPOUT, "false")).then_some(match () {
            () if is(&MASKS, "shared") => Masks::Shared,
            () if is(&MASKS, "frozen") => {
                Masks::Frozen(args.count(HOLD.name).expect("has a default") as u64)
            }
            () => Masks::Own,
        }),
        drops_channels: is(&UNIT, "channel"),
    }
}
