//! Result tables as CSV: the same bytes for the same runs, whatever computed them.

use super::Outcome;
use crate::config::KEYS;

/// The columns of the tidy table.
pub(crate) const COLUMNS: [&str; 10] =
    ["run", "seed", "rule", "attack", "n", "f", "f_real", "step", "metric", "value"];

/// One line a value: `run,seed,rule,attack,n,f,f_real,step,metric,value`.
pub(crate) fn tidy(outcomes: &[Outcome]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let full = "memory is never full";
    writer.write_record(COLUMNS).expect(full);
    for outcome in outcomes.iter().filter(|outcome| outcome.is_finished()) {
        let settings = &outcome.settings;
        let fixed = [
            outcome.key.clone(),
            settings.seed.to_string(),
            settings.rule.clone(),
            settings.attack.clone(),
            settings.n.to_string(),
            settings.f.to_string(),
            settings.f_real().to_string(),
        ];
        for point in &outcome.points {
            let own = [point.step.to_string(), point.metric.clone(), point.value.to_string()];
            writer.write_record(fixed.iter().chain(&own)).expect(full);
        }
    }
    writer.into_inner().expect(full)
}

/// One line a run: its key, how it ended, the hash of its final parameters, all its settings.
pub(crate) fn run_index(outcomes: &[Outcome]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let full = "memory is never full";
    let keys = KEYS.iter().map(|key| key.name);
    let header = ["run", "state", "parameters", "error"].into_iter().chain(keys.clone());
    writer.write_record(header).expect(full);
    for outcome in outcomes {
        let (state, error) = (outcome.end.name(), outcome.end.error());
        let own = [outcome.key.as_str(), state, &outcome.parameters, error].map(str::to_owned);
        let settings = keys.clone().map(|key| outcome.settings.text(key));
        writer.write_record(own.into_iter().chain(settings)).expect(full);
    }
    writer.into_inner().expect(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_line() {
        let outcome = Outcome::sample("nnm | krum", "alie z=1.5", 3, &[0.25]);
        let text = String::from_utf8(tidy(std::slice::from_ref(&outcome))).unwrap();
        let want = format!("{},3,nnm | krum,alie z=1.5,11,0,0,0,accuracy,0.25", outcome.key);
        assert_eq!(text.lines().nth(1), Some(want.as_str()));
        let index = String::from_utf8(run_index(&[outcome])).unwrap();
        assert!(index.lines().nth(1).unwrap().contains(",finished,"), "{index}");
    }
}
