//! Models without convolutions: linear, logistic, multilayer perceptrons, the regression nets of
//! Akoun and Meyer.

use super::Model;
use super::entry::{Home, ModelEntry, Recipe};
use super::init::{self, Scheme};
use super::loss::Loss;
use super::network::Network;
use super::plan::{Plan, Style};
use crate::data::Shape;
use varangian_base::{Args, Entry, Kind, Param, SpecError};

/// Fully connected layers with rectified linear units between them.
struct Dense {
    hidden: Vec<usize>,
    /// Whether rectified linear units stand between the layers.
    rectified: bool,
    /// The outputs, or `None` for as many as there are classes (1 for regression).
    outputs: Option<usize>,
    /// The names of the layers, or `None` for fc1, fc2, …
    name: Option<&'static str>,
    loss: Option<Loss>,
    scheme: Scheme,
    /// PyTorch's seed of the initial parameters, if not the run's.
    start: Option<u32>,
}

impl Dense {
    /// The initial parameters that the arguments ask for.
    fn starting(self, args: &Args) -> Result<Self, SpecError> {
        let scheme = Scheme::named(args.text("init"));
        Ok(Dense { scheme, start: init::seed(args)?, ..self })
    }
}

impl Recipe for Dense {
    fn build(&self, shape: Shape, classes: usize) -> Result<Box<dyn Model>, SpecError> {
        let loss = match (self.loss, classes) {
            (Some(loss), _) => loss,
            (None, 0) => Loss::Squares,
            (None, _) => Loss::CrossEntropy,
        };
        check(loss, classes)?;
        let mut plan = Plan::new(shape, Style::plain(self.scheme));
        let outputs = self.outputs.unwrap_or(classes.max(1));
        for (i, &width) in self.hidden.iter().chain(&[outputs]).enumerate() {
            if i > 0 && self.rectified {
                plan.relu();
            }
            let name = self.name.map_or_else(|| format!("fc{}", i + 1), str::to_owned);
            plan.linear(&name, width);
        }
        Ok(Box::new(Network::new(plan, loss).starting(self.start)))
    }
}

/// Whether a loss goes with this many classes.
fn check(loss: Loss, classes: usize) -> Result<(), SpecError> {
    let (needs, sound) = match loss {
        Loss::Squares => ("real-valued targets (0 classes)", classes == 0),
        Loss::Logistic => ("2 classes", classes == 2),
        Loss::CrossEntropy => ("2 classes or more", classes >= 2),
    };
    sound.then_some(()).ok_or_else(|| {
        SpecError::new(format!("needs a data set with {needs}; this one has {classes} classes"))
    })
}

/// Softmax or linear regression.
pub(crate) static LINEAR: ModelEntry = Entry {
    name: "linear",
    summary: "One linear layer: softmax regression on classes, linear regression on real values.",
    paper: "Textbook; \"simples-linear\" of El-Mhamdi, Guerraoui, Rouault, Distributed Momentum, ICLR 2021",
    differs: &[],
    params: &[init::PARAM, init::SEED],
    cost: "O(b·d)",
    facts: Home::image(1, 28, 28, 10, 7_850),
    build: |args| {
        let dense = Dense {
            hidden: Vec::new(),
            rectified: true,
            outputs: None,
            name: Some("linear"),
            loss: None,
            scheme: Scheme::Torch,
            start: None,
        };
        Ok(Box::new(dense.starting(args)?))
    },
};

/// Binary logistic regression.
pub(crate) static LOGISTIC: ModelEntry = Entry {
    name: "logistic",
    summary: "One linear layer with one output and the logistic loss, for two classes.",
    paper: "Textbook; \"simples-logit\" of El-Mhamdi, Guerraoui, Rouault, Distributed Momentum, ICLR 2021",
    differs: &["The sigmoid is part of the loss, which is −log of the likelihood."],
    params: &[init::PARAM, init::SEED],
    cost: "O(b·d)",
    facts: Home::image(68, 1, 1, 2, 69),
    build: |args| {
        let dense = Dense {
            hidden: Vec::new(),
            rectified: true,
            outputs: Some(1),
            name: Some("linear"),
            loss: Some(Loss::Logistic),
            scheme: Scheme::Torch,
            start: None,
        };
        Ok(Box::new(dense.starting(args)?))
    },
};

/// The multilayer perceptron.
pub(crate) static MLP: ModelEntry = Entry {
    name: "mlp",
    summary: "Fully connected layers with rectified linear units between them.",
    paper: "\"simples-full\" of El-Mhamdi, Guerraoui, Rouault, Distributed Momentum, ICLR 2021 (784-100-10)",
    differs: &[],
    params: &[
        Param {
            name: "hidden",
            kind: Kind::Text,
            default: "100",
            help: "widths of the hidden layers, as 100 or 200-100",
        },
        Param {
            name: "activation",
            kind: Kind::Choice(&["relu", "none"]),
            default: "relu",
            help: "what stands between the layers: relu, or none, which leaves a product of \
                   matrices: smooth, and with strict saddles",
        },
        init::PARAM,
        init::SEED,
    ],
    cost: "O(b·d)",
    facts: Home::image(1, 28, 28, 10, 79_510),
    build: |args| {
        let dense = Dense {
            hidden: widths(args.text("hidden"))?,
            rectified: args.text("activation") == "relu",
            outputs: None,
            name: None,
            loss: None,
            scheme: Scheme::Torch,
            start: None,
        };
        Ok(Box::new(dense.starting(args)?))
    },
};

/// The most hidden layers.
const LAYERS: usize = 1000;

fn widths(text: &str) -> Result<Vec<usize>, SpecError> {
    let layers = text.split(['-', ',']).count();
    if layers > LAYERS {
        return Err(SpecError::new(format!(
            "hidden takes at most {LAYERS} widths; found {layers}"
        )));
    }
    let one = |part: &str| part.trim().parse().ok().filter(|width| (1..=1 << 20).contains(width));
    text.split(['-', ',']).map(one).collect::<Option<_>>().ok_or_else(|| {
        SpecError::new(format!(
            "hidden takes widths from 1 to 1048576 as 100 or 200-100; found \"{text}\""
        ))
    })
}

/// The two regression nets differ in what they end with.
fn regression_net(outputs: usize, loss: Loss, args: &Args) -> Result<Box<dyn Recipe>, SpecError> {
    let dense = Dense {
        hidden: vec![40],
        rectified: true,
        outputs: Some(outputs),
        name: None,
        loss: Some(loss),
        scheme: Scheme::Torch,
        start: None,
    };
    Ok(Box::new(dense.starting(args)?))
}

/// The linear-regression net.
pub(crate) static LINREG_NET: ModelEntry = Entry {
    name: "linreg-net",
    summary: "L(20, 40), ReLU, L(40, 1) with the mean squared error, for real values.",
    paper: "Akoun, Meyer, SignSGD: Fault-Tolerance to Blind and Byzantine Adversaries, 2022, arXiv 2202.02085, §5",
    differs: &[],
    params: &[init::PARAM, init::SEED],
    cost: "O(b·d)",
    facts: Home::image(20, 1, 1, 0, 881),
    build: |args| regression_net(1, Loss::Squares, args),
};

/// The logistic-regression net.
pub(crate) static LOGREG_NET: ModelEntry = Entry {
    name: "logreg-net",
    summary: "L(20, 40), ReLU, L(40, 2) with cross-entropy, for two classes.",
    paper: "Akoun, Meyer, SignSGD: Fault-Tolerance to Blind and Byzantine Adversaries, 2022, arXiv 2202.02085, §5",
    differs: &[],
    params: &[init::PARAM, init::SEED],
    cost: "O(b·d)",
    facts: Home::image(20, 1, 1, 2, 922),
    build: |args| regression_net(2, Loss::CrossEntropy, args),
};
