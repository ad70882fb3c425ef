//! The parameters of messages, and what each message is in a line.

use varangian_base::{Kind, Param, ZeroPolicy};

pub(super) const SIGN: &[Param] = &[Param {
    name: "zero",
    kind: Kind::Choice(ZeroPolicy::NAMES),
    default: "zero",
    help: "the sign of 0: zero (the worker abstains; two bits a coordinate), plus-one, random",
}];
pub(super) const STOCHASTIC: &[Param] = &[Param {
    name: "bound",
    kind: Kind::Real { min: 1e-30, max: 1e30 },
    default: "1",
    help: "b: at least the largest coordinate for an unbiased message",
}];

pub(super) const PRIVATE: &[Param] = &[
    Param {
        name: "epsilon",
        kind: Kind::Real { min: 1e-6, max: 1.0 },
        default: "1",
        help: "ε of each message, at most 1, where the Gaussian mechanism's s is proven",
    },
    Param {
        name: "delta",
        kind: Kind::Real { min: 1e-30, max: 0.5 },
        default: "1e-5",
        help: "δ of each message",
    },
    Param {
        name: "sensitivity",
        kind: Kind::Real { min: 1e-30, max: 1e30 },
        default: "1",
        help: "Δ₂: how far apart, in norm, two gradients may lie that must not be told apart; \
               with clip=C it is at most 2·C",
    },
];

pub(super) const COUPLED: &[Param] = &[Param {
    name: "lambda",
    kind: Kind::Real { min: 0.0, max: 1e30 },
    default: "0.01",
    help: "λ, the weight of the penalty; that of rule=\"rsa\"",
}];

pub(super) const ELECTION: &[Param] = &[Param {
    name: "times",
    kind: Kind::Count { min: 1, max: 1001 },
    default: "3",
    help: "minibatches, each another worker's, whose signs a worker counts; odd",
}];

pub(super) const MARINA: &[Param] = &[Param {
    name: "p",
    kind: Kind::Real { min: 1e-6, max: 1.0 },
    default: "0.05",
    help: "probability of a step on which workers send the gradient of all of their samples; \
           the paper takes batch / samples",
}];

pub(super) const DASHA: &[Param] = &[
    Param {
        name: "p",
        kind: Kind::Real { min: 1e-6, max: 1.0 },
        default: "0.05",
        help: "probability of a step on which workers look at all of their samples; the paper takes \
               batch / samples",
    },
    Param {
        name: "a",
        kind: Kind::Real { min: 1e-9, max: 1.0 },
        default: "auto",
        help: "how fast what the server keeps is drawn to the worker's estimate; auto is the paper's \
               1/(2ω + 1), for instance keep/(2 − keep) of rand-k",
    },
];

pub(super) const POLAR: &[Param] = &[
    Param {
        name: "iterations",
        kind: Kind::Count { min: 1, max: 100 },
        default: "5",
        help: "Newton–Schulz iterations for the polar factor; Muon makes 5",
    },
    Param {
        name: "zero",
        kind: Kind::Choice(ZeroPolicy::NAMES),
        default: "zero",
        help: "the sign of 0: zero (the worker abstains; two bits a coordinate), plus-one, random",
    },
];

pub(super) const CYCLIC: &[Param] = &[Param {
    name: "r",
    kind: Kind::Count { min: 1, max: 63 },
    default: "3",
    help: "minibatches, each another worker's, whose gradients a worker adds up: 2f + 1; that of \
           rule=\"draco-cyclic\"",
}];

pub(super) const STORM: &[Param] = &[Param {
    name: "beta",
    kind: Kind::Real { min: 1e-9, max: 1.0 },
    default: "auto",
    help: "β: weight of the fresh gradient alone; auto is 1/s at a worker's s-th message",
}];

/// The messages by name, with a summary and parameters each, for help.
pub static MESSAGES: &[(&str, &str, &[Param])] = &[
    ("vector", "the vector itself: 32 bits a coordinate", &[]),
    ("sign", "its signs, with 0 where it is 0: two bits a coordinate", SIGN),
    ("one-bit", "its signs, with +1 where it is 0: one bit a coordinate; sign zero=plus-one", &[]),
    ("stochastic-sign", "a sign drawn with the coordinate's odds: one bit", STOCHASTIC),
    ("dp-sign", "a sign drawn so that the worker's data stay private: one bit", PRIVATE),
    ("rsa", "the signs of how far the server is from the worker's own copy: two bits", COUPLED),
    ("election", "the signs that most of several workers' gradients have: two bits", ELECTION),
    ("marina", "the last aggregate and what a minibatch's gradient has changed by since", MARINA),
    ("saga", "a gradient, corrected by the last ones of each of the worker's samples", &[]),
    ("dasha", "what the server's copy of the worker's gradient lacks, shortened", DASHA),
    ("sign-muon", "the signs of the polar factor of each matrix: two bits a coordinate", POLAR),
    ("draco-cyclic", "a weighted sum of several workers' gradients, which the rule undoes", CYCLIC),
    ("storm", "a momentum that is corrected by what a minibatch's gradient has changed by", STORM),
];
