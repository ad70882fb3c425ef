//! What the ways to shorten a message can be told.

use super::MOST_LEVELS;
use varangian_base::{Kind, Param};

const KEEP: Param = Param {
    name: "keep",
    kind: Kind::Real { min: 1e-9, max: 1.0 },
    default: "0.1",
    help: "the share of coordinates that is sent; at least one is",
};

pub(super) const TOP_K: &[Param] = &[
    KEEP,
    Param {
        name: "feedback",
        kind: Kind::Flag,
        default: "true",
        help: "whether what is left out is added to the worker's next message",
    },
];

pub(super) const RAND_K: &[Param] = &[
    KEEP,
    Param {
        name: "masks",
        kind: Kind::Choice(&["own", "shared"]),
        default: "own",
        help: "whether each worker draws its coordinates, or all send the same ones of a step",
    },
    Param {
        name: "scale",
        kind: Kind::Flag,
        default: "true",
        help: "whether what is sent is multiplied by d/k, so that its mean is the vector",
    },
    Param {
        name: "feedback",
        kind: Kind::Flag,
        default: "false",
        help: "whether what is left out is added to the worker's next message; needs scale=false",
    },
];

pub(super) const QUANTISED: &[Param] = &[
    Param {
        name: "levels",
        kind: Kind::Count { min: 1, max: MOST_LEVELS },
        default: "4",
        help: "levels above 0: a coordinate is one of 2·levels + 1 multiples of the unit",
    },
    Param {
        name: "norm",
        kind: Kind::Choice(&["length", "largest"]),
        default: "length",
        help: "whether the unit is the vector's length over levels, or its largest absolute value",
    },
];

pub(super) const EF21: &[Param] = &[
    KEEP,
    Param {
        name: "by",
        kind: Kind::Choice(&["top-k", "rand-k", "shared-rand-k"]),
        default: "top-k",
        help: "which coordinates of the difference are sent",
    },
];
