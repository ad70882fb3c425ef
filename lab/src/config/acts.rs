//! When a key acts: for each key, what a run lacks where a value other than the default changes
//! nothing in it. The one list is checked before the runs; what cannot act is said.

mod parts;

use self::parts::{of_the_attack, of_the_model, of_the_network, patience};
use super::{QUIRKS, Settings, profile};
use toml::Table;
use varangian_base::spec::{self, Spec};
use varangian_learn::optim::Schedule;

/// What of a run its settings alone do not say.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    /// Whether a filter judges gradients one by one.
    pub filter: bool,
    /// Whether the rule or filter reads validation samples.
    pub validates: bool,
    /// Whether the model has running statistics.
    pub statistics: bool,
    /// Whether the data depend on `data_seed`.
    pub drawn: bool,
    /// Samples of the test set.
    pub test: usize,
    /// Samples that the server validates on.
    pub held: usize,
    /// Samples of each pool that minibatches are drawn from: a worker's share, or what all share.
    pub pools: Vec<usize>,
    /// Whether the pools hold all training samples together.
    pub whole: bool,
    /// Steps (of a filter: arrivals) in an epoch.
    pub epoch: f64,
    /// What the schedule's text says.
    pub schedule: Schedule,
}

/// A value that was set and does nothing, or less than it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idle {
    /// The key.
    pub key: &'static str,
    /// Its value, or the parameter of it that is meant.
    pub value: String,
    /// Why.
    pub why: String,
    /// Whether the whole key does nothing: the run is that of the key's default.
    pub whole: bool,
}

/// Why a value does nothing, if it does nothing.
type Reason = fn(&Settings, &Ground) -> Option<String>;

/// For every key, in their order, when a value other than its default does nothing.
const WHOLE: &[(&str, Reason)] = &[
    ("profile", |s, _| (!turns(s)).then(|| "it turns no switch of this run".into())),
    ("dataset", |_, _| None),
    ("data_seed", |_, g| (!g.drawn).then(|| "the data are read from files".into())),
    ("model", |_, _| None),
    ("start", |_, _| None),
    ("start_prefix", |s, _| s.start.is_empty().then(|| "start is empty".into())),
    ("partition", |s, g| {
        let shared = s.sampling.starts_with("shared-") && g.whole;
        shared.then(|| format!("sampling={} draws from all samples", s.sampling))
    }),
    ("partition_over", |s, g| {
        let shared = s.sampling.starts_with("shared-") && g.whole;
        let shared = shared.then(|| format!("sampling={} draws from all samples", s.sampling));
        peaceful(s).or(shared)
    }),
    ("sampling", |_, _| None),
    ("n", |_, _| None),
    ("f", |_, _| None),
    ("f_real", |_, _| None),
    ("hostile", |s, _| peaceful(s)),
    ("batch", |_, _| None),
    ("steps", |_, _| None),
    ("evaluate_every", |_, _| None),
    ("test_samples", |s, g| {
        (s.test_samples > g.test).then(|| format!("the test set has {} samples", g.test))
    }),
    ("judge_on", |_, _| None),
    ("optimum", |_, _| None),
    ("learning_rate", |_, g| match &g.schedule {
        Schedule::Steps(at) if at.iter().any(|(step, _)| *step == 0) => {
            Some("the schedule sets the rate from step 0 on".into())
        }
        _ => None,
    }),
    ("schedule", |s, g| constant(s, g).then(|| format!("no change comes in {} steps", s.steps))),
    ("momentum", |_, _| None),
    ("momentum_at", |s, _| {
        (s.momentum <= 0.0 && s.dampening <= 0.0).then(|| "momentum is 0".into())
    }),
    ("nesterov", |s, _| (s.momentum <= 0.0).then(|| "momentum is 0".into())),
    ("dampening", |s, _| {
        let none = s.momentum <= 0.0 && s.momentum_at != "server";
        none.then(|| "momentum is 0".into())
    }),
    ("clip", |s, _| {
        let signs = s.message.starts_with("sign") && s.momentum <= 0.0;
        signs.then(|| "signs of a gradient are those of a shorter one".into())
    }),
    ("clip_mode", |s, _| {
        let asked = s.profile == "correct" && !s.clip.is_finite();
        asked.then(|| "clip is inf".into())
    }),
    ("regulariser", |s, _| (s.regularise <= 0.0).then(|| "regularise is 0".into())),
    ("regularise", |s, _| (s.regulariser == "none").then(|| "regulariser is none".into())),
    ("message", |_, _| None),
    ("local_steps", |_, _| None),
    ("local_rate", |s, _| {
        (s.local_steps == 1 && s.local_optimiser == "sgd").then(|| "local_steps is 1".into())
    }),
    ("local_optimiser", |_, _| None),
    ("compression", |_, _| None),
    ("participation", |s, _| {
        let all = pair(&s.participation, "workers") == Some(s.n.to_string());
        let auto = pair(&s.participation, "f").is_none_or(|f| f == "auto" || f == s.f.to_string());
        let caches = pair(&s.participation, "cache") == Some("true".into());
        (all && auto && !caches).then(|| format!("all {} workers take part", s.n))
    }),
    ("non_finite", |_, g| g.filter.then(|| "a filter judges one row at a time".into())),
    ("server_optimiser", |_, _| None),
    ("weights", |s, g| {
        let alike = !g.whole && g.pools.windows(2).all(|w| w[0] == w[1]);
        (alike && !s.weights.is_empty()).then(|| "all workers hold as many samples".into())
    }),
    ("weight_decay", |_, _| None),
    ("statistics", |s, g| match g.statistics {
        true => peaceful(s),
        false => Some("the model has no running statistics".into()),
    }),
    ("validation", |s, g| {
        let idle = !g.validates && s.validation_from != "held-out";
        idle.then(|| "the rule reads no validation samples".into())
    }),
    ("validation_batch", unvalidated),
    ("validation_from", unvalidated),
    ("network", |_, _| None),
    ("study", |_, g| g.filter.then(|| "nothing is studied under a filter".into())),
    ("certificate", |_, g| g.filter.then(|| "a filter judges one row at a time".into())),
    ("rule", |_, _| None),
    ("attack", |s, _| peaceful(s)),
    ("seed", |_, _| None),
];

/// What does less than it says: a parameter of a value, or a number beyond what there is.
const PART: &[(&str, fn(&Settings, &Ground) -> Vec<(String, String)>)] = &[
    ("model", |s, _| of_the_model(s)),
    ("sampling", |s, g| {
        let even = g.pools.iter().all(|pool| pool.is_multiple_of(s.batch));
        let last = pair(&s.sampling, "last") == Some("drop".into());
        let ends = s.steps.saturating_mul(s.local_steps) as f64 > g.epoch.floor();
        let why = match even {
            true => "every epoch ends on a full batch".into(),
            false => format!("no epoch of {} batches ends in the run", g.epoch.ceil()),
        };
        one(last && (even || !ends && g.epoch > 0.0), "last=drop", &why)
    }),
    ("batch", |s, g| {
        let fewest = g.pools.iter().copied().min().unwrap_or(usize::MAX);
        let again = s.sampling == "with-replacement" || s.sampling == "shared-pool";
        let cut = s.batch > fewest && !again;
        let why = format!("cut to what there is; the fewest samples to draw from are {fewest}");
        one(cut, &s.batch.to_string(), &why)
    }),
    ("evaluate_every", |s, _| {
        let only = s.evaluate_every > s.steps && s.evaluate_every != default().evaluate_every;
        let why =
            format!("cut to the {} steps: evaluated before the first and at the end", s.steps);
        one(only, &s.evaluate_every.to_string(), &why)
    }),
    ("validation", |s, g| {
        let value = s.validation.to_string();
        if s.validation == 0 {
            return Vec::new();
        }
        match s.validation_from.as_str() {
            "held-out" if !g.validates => {
                one(true, &value, "the rule does not validate; workers only lose these samples")
            }
            "train" if g.validates => {
                let why = format!("validation_from=train shares all {} samples", g.held);
                one(s.validation != g.held, &value, &why)
            }
            _ => one(
                g.validates && s.validation > g.held,
                &value,
                &format!("cut to the {} there are", g.held),
            ),
        }
    }),
    ("validation_batch", |s, g| {
        let cut = g.validates && s.validation_batch > g.held;
        let cut = cut && s.validation_batch != default().validation_batch;
        one(cut, &s.validation_batch.to_string(), &format!("cut to the {} there are", g.held))
    }),
    ("participation", |s, _| {
        let value = pair(&s.participation, "risk").map(|risk| format!("risk={risk}"));
        let given = pair(&s.participation, "f").is_some_and(|f| f != "auto");
        one(value.is_some() && given, &value.unwrap_or_default(), "f is given")
    }),
    ("network", of_the_network),
    ("attack", |s, g| of_the_attack(s, g).into_iter().collect()),
    ("attack", |s, _| {
        let bare = s.f_real() > 0 && pair(&s.attack, "momentum") == Some("none".into());
        let held = s.momentum > 0.0 && s.momentum_at.starts_with("worker");
        one(bare && !held, "momentum=none", "no worker holds a momentum")
    }),
    ("rule", |s, g| {
        let patient = s.rule.contains("safeguard") && !g.filter;
        let least = patience(&s.rule);
        let why = format!("no window is {least} steps old in the run: nobody is expelled");
        one(patient && least >= s.steps, &s.rule, &why)
    }),
];

/// Everything that was set in vain, in the order of the keys; of a key that does nothing at all,
/// only that.
pub fn idle(settings: &Settings, ground: &Ground) -> Vec<Idle> {
    let default = default();
    let mut found = Vec::new();
    for &(key, reason) in WHOLE {
        let value = settings.text(key);
        let why = if value == default.text(key) { None } else { reason(settings, ground) };
        if let Some(why) = why {
            found.push(Idle { key, value, why, whole: true });
            continue;
        }
        for (_, parts) in PART.iter().filter(|(of, _)| *of == key) {
            let part = |(value, why)| Idle { key, value, why, whole: false };
            found.extend(parts(settings, ground).into_iter().map(part));
        }
    }
    found
}

/// The settings with every key at its default that does nothing: equal ones are one run.
pub fn effective(settings: &Settings, idle: &[Idle]) -> Settings {
    let mut table = Table::try_from(settings).expect("scalars");
    let default = Table::try_from(default()).expect("scalars");
    for idle in idle.iter().filter(|idle| idle.whole) {
        match default.get(idle.key) {
            Some(value) => table.insert(idle.key.into(), value.clone()),
            None => table.remove(idle.key),
        };
    }
    Settings::read(table).expect("defaults have the right types")
}

fn default() -> Settings {
    Settings::default()
}

fn one(holds: bool, value: &str, why: &str) -> Vec<(String, String)> {
    if holds { vec![(value.to_owned(), why.to_owned())] } else { Vec::new() }
}

fn peaceful(settings: &Settings) -> Option<String> {
    (settings.f_real() == 0).then(|| "no worker is hostile (f_real = 0)".into())
}

fn unvalidated(settings: &Settings, ground: &Ground) -> Option<String> {
    match (settings.validation, ground.validates) {
        (0, _) => Some("validation is 0".into()),
        (_, false) => Some("the rule reads no validation samples".into()),
        _ => None,
    }
}

/// Whether the profile changed anything that acts.
fn turns(settings: &Settings) -> bool {
    QUIRKS.iter().any(|quirk| match quirk.key {
        "clip_mode" => settings.clip.is_finite(),
        _ => profile::stands(settings, quirk),
    })
}

/// Whether the rate is the same at every step. Between its changes it only falls or only rises, so
/// that the ends tell it for however many steps.
fn constant(settings: &Settings, ground: &Ground) -> bool {
    let (initial, last) = (settings.learning_rate, settings.steps.saturating_sub(1));
    let mut looked_at = vec![0, last];
    if let Schedule::Steps(changes) = &ground.schedule {
        looked_at.extend(changes.iter().map(|(step, _)| *step).filter(|step| *step <= last));
    }
    let rate = |step| ground.schedule.rate(initial, step, ground.epoch);
    looked_at.into_iter().all(|step| rate(step).total_cmp(&initial).is_eq())
}

fn stage(text: &str) -> Spec {
    spec::parse(text).unwrap_or_else(|_| Spec::bare(text))
}

/// The value of a parameter, where it is written.
fn pair(text: &str, name: &str) -> Option<String> {
    stage(text).pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;

    #[test]
    fn every_key_says_when_it_acts() {
        let listed: Vec<&str> = WHOLE.iter().map(|(key, _)| *key).collect();
        assert_eq!(listed, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
        assert!(PART.iter().all(|(key, _)| listed.contains(key)));
        let plain = Ground { test: 100_000, pools: vec![1000], ..Ground::default() };
        assert_eq!(idle(&Settings::default(), &plain), []);
    }

    #[test]
    fn what_does_nothing_goes_back_to_its_default() {
        let ground = Ground { test: 100_000, pools: vec![1000], ..Ground::default() };
        let settings = Settings {
            clip_mode: "unit".into(),
            attack: "alie".into(),
            f_real: Some(0),
            momentum: 0.0,
            nesterov: true,
            ..Settings::default()
        };
        let found = idle(&settings, &ground);
        let keys: Vec<&str> = found.iter().map(|idle| idle.key).collect();
        assert_eq!(keys, ["nesterov", "clip_mode", "attack"]);
        let plain = Settings { momentum: 0.0, f_real: Some(0), ..Settings::default() };
        assert_eq!(effective(&settings, &found), plain);
    }

    #[test]
    fn attacks_and_safeguards_that_cannot_act_in_a_run_are_said() {
        let ground = Ground { test: 100_000, ..Ground::default() };
        let said = |settings: &Settings, ground: &Ground, key: &str| {
            idle(settings, ground).into_iter().any(|idle| idle.key == key)
        };
        let attacked = |attack: &str| Settings {
            f: 2,
            f_real: Some(2),
            steps: 40,
            attack: attack.into(),
            ..Settings::default()
        };
        for attack in [
            "alie start=40",
            "delayed-gradient",
            "delayed-gradient delay=40",
            "bit-flip rate=0",
            "gaussian sd=0 around=own",
            "label-flip fraction=0",
            "mixed groups=(1 none; * none)",
        ] {
            assert!(said(&attacked(attack), &ground, "attack"), "{attack}");
        }
        for attack in
            ["alie", "alie start=39", "delayed-gradient delay=39", "gaussian sd=0", "bit-flip"]
        {
            assert!(!said(&attacked(attack), &ground, "attack"), "{attack}");
        }
        let filter = Ground { filter: true, ..ground.clone() };
        let clean = |clean: u64| Settings {
            network: format!("uniform clean={clean}"),
            rule: "zeno++".into(),
            ..attacked("alie")
        };
        assert!(said(&clean(40), &filter, "attack") && !said(&clean(39), &filter, "attack"));
        let safe = |rule: &str, steps| Settings { rule: rule.into(), steps, ..attacked("alie") };
        assert!(said(&safe("safeguard patience=25", 25), &ground, "rule"));
        assert!(!said(&safe("safeguard patience=25", 26), &ground, "rule"));
        assert!(said(&safe("single-safeguard", 5), &ground, "rule"));
        let signs =
            Settings { message: "sign".into(), clip: 1.0, momentum: 0.0, ..attacked("none") };
        assert!(said(&signs, &ground, "clip"));
        assert!(!said(&Settings { momentum: 0.5, ..signs }, &ground, "clip"));
    }

    #[test]
    fn parameters_that_do_nothing_are_named() {
        let ground = Ground { test: 100_000, pools: vec![90], ..Ground::default() };
        let settings = Settings {
            network: "network keep=5 slowdown=3 downtime=(constant t=3) slow=0".into(),
            model: "mnistnet dropout=false dropout-masks=shared".into(),
            sampling: "epochs last=drop".into(),
            batch: 30,
            ..Settings::default()
        };
        let said: Vec<String> =
            idle(&settings, &ground).into_iter().map(|idle| idle.value).collect();
        let wanted = ["dropout-masks=shared", "last=drop", "keep=5", "slowdown=3"];
        assert_eq!(said[..4], wanted);
        assert_eq!(said[4..], ["downtime=constant t=3"]);
        let large = Settings { batch: 91, ..Settings::default() };
        assert_eq!(idle(&large, &ground)[0].value, "91");
    }
}
