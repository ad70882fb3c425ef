//! Parameters of a value that do nothing: of the model, the attack, the network.

use super::{Ground, pair, stage};
use crate::config::Settings;
use varangian_base::spec;

pub(super) fn of_the_model(settings: &Settings) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut say = |name: &str, idle: bool, why: &str| {
        if let Some(value) = pair(&settings.model, name).filter(|_| idle) {
            found.push((format!("{name}={value}"), why.to_owned()));
        }
    };
    let dropless = pair(&settings.model, "dropout") == Some("false".into());
    let never =
        pair(&settings.model, "p").is_some_and(|p| p.parse::<f64>().is_ok_and(|p| p <= 0.0));
    say("dropout-masks", dropless, "dropout=false drops nothing");
    say("dropout-unit", dropless, "dropout=false drops nothing");
    say("dropout-hold", dropless, "dropout=false drops nothing");
    let frozen = pair(&settings.model, "dropout-masks") == Some("frozen".into());
    say(
        "dropout-hold",
        !frozen && !dropless,
        "it says how long masks of dropout-masks=frozen stay",
    );
    say("p", dropless && !never, "dropout=false drops nothing");
    say("dropout-masks", never && !dropless, "p=0 drops nothing");
    let given = !settings.start.is_empty();
    for name in ["init", "init-seed"] {
        say(name, given, "start gives the initial parameters");
    }
    found
}

/// The fewest steps after which a safeguard of the chain may expel; 0 where it has no patience.
pub(super) fn patience(rule: &str) -> u64 {
    let Ok(chain) = spec::parse_chain(rule) else { return 0 };
    let Some(stage) = chain.iter().find(|stage| stage.name.ends_with("safeguard")) else {
        return 0;
    };
    let given =
        |name: &str| stage.pairs.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_str());
    if given("mode").is_some_and(|mode| mode != "empirical") {
        return 0;
    }
    if let Some(patience) = given("patience").and_then(|text| text.parse().ok()) {
        return patience;
    }
    let entry = varangian_rules::ALL.iter().find(|entry| entry.name == stage.name);
    let default = |name: &str| {
        let param = entry.and_then(|entry| entry.params.iter().find(|param| param.name == name));
        given(name).or(param.map(|param| param.default)).and_then(|text| text.parse::<u64>().ok())
    };
    // A quarter of the shorter window, at most 50; the window of one may be the whole run.
    let windows = ["t0", "t1", "t"].into_iter().filter_map(default);
    windows.min().map_or(50, |window| (window / 4).min(50))
}

/// Why the attack leaves hostile workers honest in this run, if it does.
pub(super) fn of_the_attack(settings: &Settings, ground: &Ground) -> Option<(String, String)> {
    if settings.f_real() == 0 || settings.attack == "none" {
        return None;
    }
    let attack = stage(&settings.attack);
    let text = |name: &str| pair(&settings.attack, name);
    let number = |name: &str, default: f64| {
        text(name).and_then(|text| text.parse::<f64>().ok()).unwrap_or(default)
    };
    let (steps, zero) = (settings.steps as f64, |name, default| number(name, default) == 0.0);
    let why = match attack.name.as_str() {
        _ if number("start", 0.0) >= steps => {
            format!("it starts at step {}, after the run", number("start", 0.0))
        }
        "delayed-gradient" if number("delay", 1000.0) >= steps => {
            let delay = number("delay", 1000.0);
            format!(
                "gradients of {delay} steps ago come after the run; workers are honest till then"
            )
        }
        "bit-flip" if zero("rate", 0.001) && text("first").is_none_or(|f| f == "auto") => {
            "rate=0 hits nothing".into()
        }
        "gaussian"
            if zero("sd", 200.0) && zero("mean", 0.0) && text("around") == Some("own".into()) =>
        {
            "no noise is added to the worker's own gradient".into()
        }
        "label-flip" if zero("fraction", 1.0) => "fraction=0 touches no label".into(),
        "mixed"
            if text("groups").is_some_and(|groups| {
                groups.split(';').all(|group| group.split_whitespace().last() == Some("none"))
            }) =>
        {
            "every group is honest".into()
        }
        _ => {
            let clean = pair(&settings.network, "clean").and_then(|text| text.parse::<f64>().ok());
            let late = clean.filter(|&clean| ground.filter && clean >= steps)?;
            format!("the first {late} arrivals are clean (network clean={late}), which is the run")
        }
    };
    Some((settings.attack.clone(), why))
}

pub(super) fn of_the_network(settings: &Settings, ground: &Ground) -> Vec<(String, String)> {
    let given = |name: &str| pair(&settings.network, name);
    let number = |name: &str, default: f64| {
        given(name).and_then(|text| text.parse::<f64>().ok()).unwrap_or(default)
    };
    let mut found = Vec::new();
    let mut say = |name: &str, idle: bool, why: &str| {
        if let Some(value) = given(name).filter(|_| idle) {
            found.push((format!("{name}={value}"), why.to_owned()));
        }
    };
    let rounds = "rounds are synchronous: only filters read it";
    ["clean", "keep"].into_iter().for_each(|name| say(name, !ground.filter, rounds));
    let peaceful = settings.f_real() == 0 || settings.attack == "none";
    say("clean", ground.filter && peaceful && number("clean", 0.0) > 0.0, "nobody attacks");
    say("slowdown", number("slow", 0.0) <= 0.0, "no worker is slow (slow=0)");
    say("slow", number("slowdown", 10.0) <= 1.0, "slowdown=1 slows nobody");
    say("haste", settings.f_real() == 0, "no worker is hostile (f_real=0)");
    say("downtime", number("crash", 0.0) <= 0.0, "no worker crashes (crash=0)");
    let (age, keep) = (number("max-delay", 10.0), number("keep", 20.0));
    let why = format!("cut to {}: keep={keep} models are kept", keep - 1.0);
    say("max-delay", stage(&settings.network).name == "uniform" && age >= keep, &why);
    found
}
