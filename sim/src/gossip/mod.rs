//! Training without a server: nodes step along their own gradients and exchange models with their
//! neighbours in a graph.
//!
//! In a step each honest node i makes xᵢ⁺ = xᵢ − α·mᵢ with mᵢ its gradient or momentum, sends xᵢ⁺
//! to its neighbours, and combines what they sent with its own by the [`Method`]. The hostile nodes
//! see all that honest ones send. An attack of the list writes gradients, so that it is shown
//! x̄ − xⱼ⁺, with x̄ the mean of the honest models before the step, and x̄ less what it writes is
//! sent, the same to all neighbours. With `dissensus` each gets its own: [`Gossip::dissensus`].
//!
//! What is evaluated is each honest node's model; the numbers are means over them.
//!
//! *Differs:* BRIDGE combines the models of the step before and then steps; here the step comes
//! first, as in the other methods.

mod air;
mod graph;
mod mix;
mod peers;
mod resume;

pub use graph::{Graph, SHAPES, Shape};
pub use mix::Method;
pub use peers::Peers;

use crate::Plan;
use varangian_base::{Kind, Param, SpecError, spec};
use varangian_learn::optim::{Compression, Message, ServerOptimiser};

/// How nodes exchange models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gossip {
    /// How a node combines what it has.
    pub method: Method,
    /// Who is whose neighbour.
    pub shape: Shape,
    /// Whether the graph is drawn anew at every step.
    pub changes: bool,
    /// η of CS+; `None`: one over the largest eigenvalue of the graph's Laplacian.
    pub eta: Option<f64>,
    /// ε ≥ 0 of the dissensus attack (He, Karimireddy & Jaggi 2022, §6): each hostile neighbour b
    /// sends to i xᵢ − ε·Σ Wᵢⱼ·(xⱼ − xᵢ) / Σ Wᵢᵦ, with the sums over its honest and its hostile
    /// neighbours: at ε = 1 plain gossip stays where it is. 0: the run's attack.
    pub dissensus: f64,
}

/// What `gossip` takes.
pub static GOSSIP: &[Param] = &[
    Param {
        name: "method",
        kind: Kind::Choice(Method::NAMES),
        default: "average",
        help: "how a node combines models: average, nna, clipped-gossip, cs-plus, bridge, or the \
               run's rule over its neighbours' and its own",
    },
    Param {
        name: "graph",
        kind: Kind::Text,
        default: "complete",
        help: "who is whose neighbour: complete, (ring reach=1), torus, (erdos-renyi p=0.5)",
    },
    Param {
        name: "change",
        kind: Kind::Choice(&["never", "each-step"]),
        default: "never",
        help: "whether an erdos-renyi graph is drawn anew at every step",
    },
    Param {
        name: "eta",
        kind: Kind::Real { min: 1e-6, max: 1.0 },
        default: "auto",
        help: "η of cs-plus; auto: one over the largest eigenvalue of the graph's Laplacian",
    },
    Param {
        name: "dissensus",
        kind: Kind::Real { min: 0.0, max: 1e6 },
        default: "0",
        help: "ε: hostile nodes push each neighbour away from its honest ones, so many times as \
               far as these pull; 0: they play the attack",
    },
];

impl Gossip {
    /// Reads `gossip method=nna graph=(ring reach=2)`.
    ///
    /// # Errors
    /// If a parameter is unknown or out of range.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let args = spec::parse(text)?.args(GOSSIP)?;
        let shape = Shape::parse(args.text("graph")).map_err(|error| error.at("graph"))?;
        let changes = args.text("change") == "each-step";
        if changes && !matches!(shape, Shape::Random { .. }) {
            return Err(SpecError::new(
                "change=each-step draws a graph at every step; graph must be erdos-renyi beside it",
            ));
        }
        let method = Method::from_name(args.text("method")).expect("a known method");
        if args.real("eta").is_some() && method != Method::CsPlus {
            return Err(SpecError::new("eta is of cs-plus: method must be that beside it"));
        }
        Ok(Gossip {
            method,
            shape,
            changes,
            eta: args.real("eta"),
            dissensus: args.real("dissensus").expect("has a default"),
        })
    }

    /// Whether a plan can be run so. Its f is how many of a node's neighbours may be hostile.
    ///
    /// # Errors
    /// What does not go with it.
    pub fn check(&self, plan: &Plan) -> Result<(), SpecError> {
        plan.check()?;
        let optimiser = &plan.optimiser;
        let momentum = &optimiser.momentum;
        let elsewhere = momentum.coefficient > 0.0 && !momentum.placement.is_at_worker();
        let refused = [
            (plan.participation.is_some(), "participation", "all"),
            (plan.study.is_some(), "study", "0"),
            (plan.certificate.is_some(), "certificate", "none"),
            (plan.weights.is_some(), "weights", "equal"),
            (optimiser.message != Message::Vector, "message", "vector"),
            (optimiser.compression != Compression::None, "compression", "none"),
            (optimiser.server != ServerOptimiser::Sgd, "server_optimiser", "sgd"),
            (optimiser.weight_decay > 0.0, "weight_decay", "0"),
            (elsewhere, "momentum_at", "worker"),
            (plan.rule.needs_oracle(), "rule", "one without data of a server's"),
            (plan.rule.has_memory(), "rule", "one without a memory"),
            (plan.model.buffers() > 0, "model", "one without running statistics"),
        ];
        if let Some((_, key, wanted)) = refused.into_iter().find(|(refused, ..)| *refused) {
            return Err(SpecError::new(format!(
                "under gossip there is no server: {key} must be {wanted}"
            )));
        }
        let (method, rule) = (self.method, plan.rule.spec());
        if method != Method::Rule && rule != "average" {
            return Err(SpecError::new(format!(
                "gossip method={} combines models by itself, so that rule must be average; got \
                 {rule}; method=rule takes the rule",
                method.name()
            )));
        }
        if plan.f_real > 0 && plan.attack.sees().rule {
            return Err(SpecError::new(
                "the attack tries rows on a server's rule; under gossip there is none",
            ));
        }
        match self.changes {
            true => Ok(()),
            false => self.check_graph(plan),
        }
    }

    /// Bytes that a node sends a step: its model to each neighbour of the first graph, in the mean.
    pub fn bytes(&self, plan: &Plan) -> usize {
        let degree = self.shape.draw(plan.n, plan.seed, 0).degree();
        (degree * 4.0 * plan.model.dim() as f64).round() as usize
    }

    /// Whether a graph that stays lets the honest nodes agree.
    fn check_graph(&self, plan: &Plan) -> Result<(), SpecError> {
        let (graph, hostile) = (self.shape.draw(plan.n, plan.seed, 0), plan.hostile_ids());
        let honest: Vec<u32> = (0..plan.n as u32).filter(|id| !hostile.contains(id)).collect();
        if !graph.connects(&honest) {
            return Err(SpecError::new(
                "gossip: the honest nodes must be connected without the hostile ones; they are \
                 not; take more edges, or hostile nodes elsewhere (hostile=random)",
            ));
        }
        let least = self.method.least(plan.f);
        let poorest = honest.iter().map(|&id| graph.neighbours(id).len()).min().unwrap_or(0);
        if honest.len() > 1 && poorest < least {
            return Err(SpecError::new(format!(
                "gossip method={} with f = {} hostile neighbours needs {least} neighbours of each \
                 node; one has {poorest}",
                self.method.name(),
                plan.f
            )));
        }
        let Some(worst) = honest.iter().map(|&id| poorest_rule(&graph, id)).min() else {
            return Ok(());
        };
        match self.method {
            Method::Rule => plan.rule.check(worst, plan.f),
            _ => Ok(()),
        }
    }
}

/// Models that a node has after an exchange.
fn poorest_rule(graph: &Graph, id: u32) -> usize {
    graph.neighbours(id).len() + 1
}
