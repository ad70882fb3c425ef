//! The keys of an experiment file, in the order in which products are taken and tables print.

/// A key of an experiment file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As written before `=`.
    pub name: &'static str,
    /// What it means, with its unit and range.
    pub help: &'static str,
}

const fn key(name: &'static str, help: &'static str) -> Key {
    Key { name, help }
}

/// Every key that describes a run.
pub const KEYS: &[Key] = &[
    key(
        "profile",
        "correct, or reference: all quirks of published code at once; `varangian keys profile`",
    ),
    key("dataset", "what is learnt: a name from `varangian datasets`"),
    key(
        "data_seed",
        "seed of data that are generated, for all seeds of a matrix; 0: each run draws its own",
    ),
    key("model", "what learns it: a name from `varangian models`"),
    key(
        "start",
        "a .safetensors file with the model's initial state under PyTorch's names, as \
         `run --save-models` writes it, in f32, f64, f16 or bf16; empty: drawn from the seed as the model says",
    ),
    key(
        "start_prefix",
        "what stands before the names of all tensors in start and is taken off, such as \"module.\" \
         or \"_orig_mod.\"; empty: nothing",
    ),
    key("partition", "how the training set is split over workers"),
    key(
        "partition_over",
        "whom the training set is split over: all (the honest workers never see a hostile one's \
         part), or honest (they alone share all of it; a hostile worker holds an even random slice \
         of the whole set besides), as in bucketing's and ByzFL's experiments",
    ),
    key(
        "sampling",
        "how a worker draws minibatches: epochs, with-replacement, shared-stream, shared-pool; \
         repeated and checked for rules that compare repeated work",
    ),
    key("n", "workers, hostile ones included"),
    key("f", "hostile workers that the server is told of; each rule has its bound"),
    key("f_real", "hostile workers that there are; by default f"),
    key("hostile", "which workers are hostile: last, first or random"),
    key("batch", "samples a worker and step"),
    key("steps", "steps of the run"),
    key("evaluate_every", "steps between evaluations on the test set"),
    key("test_samples", "samples of the test set used in an evaluation, from its start"),
    key(
        "judge_on",
        "training samples that are held out and evaluated on instead of the test set; 0: the test set",
    ),
    key(
        "optimum",
        "newton: each evaluation also tells the optimality_gap f(θ) − f*, in f64, f the mean over \
         honest workers' samples with the penalty, of model=logistic with regulariser=half-squared; none",
    ),
    key("learning_rate", "step size at step 0"),
    key(
        "schedule",
        "how the step size changes: constant, inverse, steps, decay; `varangian keys schedule`",
    ),
    key("momentum", "momentum coefficient, in [0, 1)"),
    key(
        "momentum_at",
        "where momentum lives: update (of aggregates, at the server), worker (of its gradients), \
         worker-twice (of that again), rows (of each worker's messages, at the server), or server \
         (of the broadcast aggregate, in each message)",
    ),
    key("nesterov", "whether gradients are taken at the look-ahead point"),
    key("dampening", "new gradients enter momentum with weight 1 − dampening, in [0, 1]"),
    key("clip", "bound on the norm of a sampled gradient; inf: none"),
    key("clip_mode", "rescale: to the bound; unit: to norm 1, as published code did"),
    key("regulariser", "none, half-squared, norm or reference-norm"),
    key("regularise", "coefficient of the regulariser, at least 0"),
    key(
        "message",
        "what a worker sends: vector, sign (two bits a coordinate, as 0 can be said), one-bit (its \
         short form for zero=plus-one), or one of those that `varangian keys message` lists",
    ),
    key(
        "local_steps",
        "steps that a worker makes by itself, on a minibatch each, before it sends the sum of their \
         gradients (or its movement); 1: the gradient at the server's parameters",
    ),
    key("local_rate", "step size of local steps; 0: the learning rate of the step"),
    key(
        "local_optimiser",
        "how a worker makes local steps: sgd, \"sgd momentum=0.9 send=movement\", or \"adamw …\", \
         whose means it keeps from round to round (DiLoCo)",
    ),
    key(
        "compression",
        "what of a vector is left out: none, \"top-k keep=0.1 feedback=true\", \"rand-k keep=0.1 \
         masks=shared\", \"quantised levels=4\", or \"ef21 keep=0.1\", the difference to what the \
         server keeps of the worker",
    ),
    key(
        "participation",
        "workers that take part in a round: all, \"sample workers=8 f=auto risk=0.01\", drawn anew \
         each round, f of them hostile, by default so many that more are as rare as the risk; or \
         \"chance p=0.1\", each by its own coin; cache=true combines the others' last messages too",
    ),
    key(
        "non_finite",
        "what a row that is not finite costs: refuse-row (that row; f falls by one), or skip-round \
         (no step is made: for workers that may fail, as a hostile one can stop training so)",
    ),
    key(
        "server_optimiser",
        "how the server steps by the aggregate: sgd, or \"adagrad tau=1e-3\", \
         \"yogi beta1=0.9 beta2=0.99 tau=1e-3\", \"adam …\", whose beta1 is their momentum; \
         \"nesterov momentum=0.9\" (DiLoCo's outer step), normalised (to length 1); or \
         \"byzantine-pgd epsilon=0.1 r=1 R=1 Q=10 T=100\", which perturbs where aggregates are short",
    ),
    key(
        "weights",
        "how much a worker counts at the server: equal, or \"samples floor=0.01 cap=10\", its number of \
         samples between floor and cap times the median one; for rules with a weighted form",
    ),
    key("weight_decay", "decoupled weight decay, at least 0"),
    key(
        "statistics",
        "whose forward passes move batch norm's running statistics: honest, or all workers'",
    ),
    key("validation", "samples that the server holds for rules that validate; 0: none"),
    key("validation_batch", "samples of a validation batch of the server"),
    key(
        "validation_from",
        "held-out: validation samples are taken from the workers; train: all are shared; or a \
         data set, such as \"npz file=PATH\", with them among its training samples",
    ),
    key(
        "network",
        "empty: lockstep; network …: virtual time; uniform …: drawn staleness (filters only); gossip \
         …: no server, nodes exchange models along a graph",
    ),
    key("study", "past mean gradients in the curvature of the study metrics; 0: no study"),
    key(
        "certificate",
        "what is certain of each step whoever is hostile, as measurements certificate/radius, \
         promised, descent, length and, of selections, margin: none, fast (from n distances) or sharp (from all pairs)",
    ),
    key(
        "rule",
        "the aggregation rule, with stages around it: \"nnm | krum\"; a filter trains asynchronously",
    ),
    key("attack", "what hostile workers send: a name from `varangian attacks`"),
    key("seed", "the run's one seed"),
];

/// What the keys that describe the file mean.
pub const FILE_HELP: &[Key] = &[
    key("name", "the experiment's name: of the results folder and of reports"),
    key(
        "optimiser",
        "short for message, rule, momentum, momentum_at and dampening, where these are not \
         written: distsgd, signsgd, signum, sto-sign or dp-sign",
    ),
    key("skip_below_bound", "whether runs whose rule cannot take their n and f are left out"),
    key(
        "heterogeneity",
        "whether (G, B) of each partition is measured before the runs: auto (where that takes a \
         minute or two of a core at most), always or never",
    ),
    key(
        "[tune]",
        "lists of hyperparameters from which each rule gets the one best in its worst case over \
         attacks, on validation = 1000 held-out training samples and with its own seed = […]",
    ),
    key("[[run]]", "one of several matrices; the other keys are their defaults"),
];

/// Keys that describe the file rather than a run.
pub(crate) const FILE_KEYS: &[&str] = &["name", "skip_below_bound", "heterogeneity", "tune", "run"];
