//! The settings of one run: everything that can change its result.

use super::unsaid::{self, UNSAID, printed};
use crate::Failure;
use serde::{Deserialize, Serialize};
use toml::Table;
use varangian_base::SpecError;

/// One run. Fields are the keys of [`KEYS`](super::KEYS), which say what they mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Settings {
    pub profile: String,
    pub dataset: String,
    pub data_seed: u64,
    pub model: String,
    /// Left out where it is empty, so that the keys of runs that draw their start stay.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub start: String,
    /// Left out where it is empty, as `start` is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub start_prefix: String,
    pub partition: String,
    /// Left out at its default, as the keys below that came later.
    #[serde(skip_serializing_if = "unsaid::is_all")]
    pub partition_over: String,
    pub sampling: String,
    pub n: usize,
    pub f: usize,
    pub f_real: Option<usize>,
    pub hostile: String,
    pub batch: usize,
    pub steps: u64,
    pub evaluate_every: u64,
    pub test_samples: usize,
    pub judge_on: usize,
    /// Left out at its default, as the keys below that came later.
    #[serde(skip_serializing_if = "unsaid::is_none")]
    pub optimum: String,
    pub learning_rate: f64,
    pub schedule: String,
    pub momentum: f64,
    pub momentum_at: String,
    pub nesterov: bool,
    pub dampening: f64,
    pub clip: f64,
    pub clip_mode: String,
    pub regulariser: String,
    pub regularise: f64,
    pub message: String,
    // Keys that came later are left out where they stand at their defaults, so that the keys of
    // older runs stay.
    #[serde(skip_serializing_if = "unsaid::is_one")]
    pub local_steps: u64,
    #[serde(skip_serializing_if = "unsaid::is_zero")]
    pub local_rate: f64,
    #[serde(skip_serializing_if = "unsaid::is_sgd")]
    pub local_optimiser: String,
    #[serde(skip_serializing_if = "unsaid::is_none")]
    pub compression: String,
    #[serde(skip_serializing_if = "unsaid::is_all")]
    pub participation: String,
    #[serde(skip_serializing_if = "unsaid::is_refuse_row")]
    pub non_finite: String,
    #[serde(skip_serializing_if = "unsaid::is_sgd")]
    pub server_optimiser: String,
    #[serde(skip_serializing_if = "unsaid::is_equal")]
    pub weights: String,
    pub weight_decay: f64,
    pub statistics: String,
    pub validation: usize,
    pub validation_batch: usize,
    pub validation_from: String,
    pub network: String,
    pub study: usize,
    #[serde(skip_serializing_if = "unsaid::is_none")]
    pub certificate: String,
    pub rule: String,
    pub attack: String,
    pub seed: u64,
}

/// The most workers, steps, local steps and samples of a batch that are taken.
const MOST_WORKERS: usize = 1 << 20;
const MOST_STEPS: u64 = 1 << 40;
const MOST_LOCAL: u64 = 1 << 20;
const MOST_SAMPLES: u64 = 1 << 31;

impl Default for Settings {
    fn default() -> Self {
        Settings {
            profile: "correct".into(),
            dataset: "glyphs".into(),
            data_seed: 1,
            model: "mlp".into(),
            start: String::new(),
            start_prefix: String::new(),
            partition: "iid".into(),
            partition_over: "all".into(),
            sampling: "epochs".into(),
            n: 11,
            f: 0,
            f_real: None,
            hostile: "last".into(),
            batch: 32,
            steps: 200,
            evaluate_every: 10,
            test_samples: 10_000,
            judge_on: 0,
            optimum: "none".into(),
            learning_rate: 0.1,
            schedule: "constant".into(),
            momentum: 0.9,
            momentum_at: "worker".into(),
            nesterov: false,
            dampening: 0.0,
            clip: f64::INFINITY,
            clip_mode: "rescale".into(),
            regulariser: "none".into(),
            regularise: 0.0,
            message: "vector".into(),
            local_steps: 1,
            local_rate: 0.0,
            local_optimiser: "sgd".into(),
            compression: "none".into(),
            participation: "all".into(),
            non_finite: "refuse-row".into(),
            server_optimiser: "sgd".into(),
            weights: "equal".into(),
            weight_decay: 0.0,
            statistics: "honest".into(),
            validation: 0,
            validation_batch: 100,
            validation_from: "held-out".into(),
            network: String::new(),
            study: 0,
            certificate: "none".into(),
            rule: "average".into(),
            attack: "none".into(),
            seed: 1,
        }
    }
}

impl Settings {
    /// Reads a table of scalars; absent keys take their defaults, `f_real` that of f.
    ///
    /// # Errors
    /// If a value has the wrong type.
    pub fn read(table: Table) -> Result<Self, Failure> {
        let settings: Result<Settings, _> = table.try_into();
        let mut settings = settings.map_err(|error| Failure::refused(one_line(&error)))?;
        settings.f_real.get_or_insert(settings.f);
        Ok(settings)
    }

    /// The hostile workers that there are.
    pub fn f_real(&self) -> usize {
        self.f_real.unwrap_or(self.f)
    }

    /// Every key with its value, those too that are left out at their defaults.
    pub fn table(&self) -> Table {
        let mut table = Table::try_from(self).expect("scalars");
        for (key, text) in UNSAID {
            let value = match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(whole), _) => toml::Value::Integer(whole),
                (_, Ok(real)) => toml::Value::Float(real),
                _ => toml::Value::String((*text).to_owned()),
            };
            table.entry(*key).or_insert(value);
        }
        table
    }

    /// The value of a key as it prints in tables and legends.
    pub fn text(&self, key: &str) -> String {
        printed(&Table::try_from(self).expect("scalars"), key)
    }

    /// Every key with its value as [`Settings::text`] prints it, at the price of one.
    pub fn texts(&self) -> std::collections::BTreeMap<&'static str, String> {
        let table = Table::try_from(self).expect("scalars");
        super::KEYS.iter().map(|key| (key.name, printed(&table, key.name))).collect()
    }

    /// "nnm | krum, n=15, momentum_at=worker": the rule, and what else of `keys` there is.
    pub fn label(&self, keys: &[&str]) -> String {
        let part = |key: &&str| match *key {
            "rule" => self.rule.clone(),
            key => format!("{key}={}", self.text(key)),
        };
        keys.iter().map(part).collect::<Vec<_>>().join(", ")
    }

    /// What is wrong with the numbers alone, before anything is built.
    ///
    /// # Errors
    /// The first offence: what is required and what was found.
    pub fn check_numbers(&self) -> Result<(), SpecError> {
        let Settings { n, f, .. } = *self;
        let demand = |holds: bool, what: &str, found: &dyn std::fmt::Display| match holds {
            true => Ok(()),
            false => Err(SpecError::new(format!("{what}; got {found}"))),
        };
        demand(n >= 1, "n is at least 1", &n)?;
        demand(n <= MOST_WORKERS, &format!("n is at most {MOST_WORKERS}"), &n)?;
        if f >= n {
            // Rules that validate take any f below n; the others' bounds are checked with the rule.
            return Err(SpecError::new(format!("f is less than n; got n = {n}, f = {f}")));
        }
        demand(self.f_real() < n, "f_real is less than n", &self.f_real())?;
        demand(self.batch >= 1, "batch is at least 1", &self.batch)?;
        demand(self.test_samples >= 1, "test_samples is at least 1", &self.test_samples)?;
        demand(self.steps >= 1, "steps is at least 1", &self.steps)?;
        demand(self.evaluate_every >= 1, "evaluate_every is at least 1", &self.evaluate_every)?;
        self.check_sizes()?;
        let rate = self.learning_rate;
        demand(rate > 0.0 && rate.is_finite(), "learning_rate is above 0", &rate)?;
        demand((0.0..1.0).contains(&self.momentum), "momentum is in [0, 1)", &self.momentum)?;
        demand((0.0..=1.0).contains(&self.dampening), "dampening is in [0, 1]", &self.dampening)?;
        demand(self.clip > 0.0, "clip is above 0", &self.clip)?;
        let not_below_0 = |x: f64| x >= 0.0 && x.is_finite();
        demand(self.local_steps >= 1, "local_steps is at least 1", &self.local_steps)?;
        demand(not_below_0(self.local_rate), "local_rate is at least 0", &self.local_rate)?;
        demand(not_below_0(self.regularise), "regularise is at least 0", &self.regularise)?;
        demand(not_below_0(self.weight_decay), "weight_decay is at least 0", &self.weight_decay)
    }

    /// Upper ends: below them no count, product or sum of a run overflows.
    fn check_sizes(&self) -> Result<(), SpecError> {
        let Settings { batch, study, test_samples, .. } = *self;
        let counts = [
            ("steps", self.steps, MOST_STEPS),
            ("evaluate_every", self.evaluate_every, i64::MAX as u64),
            ("local_steps", self.local_steps, MOST_LOCAL),
            ("batch", batch as u64, MOST_SAMPLES),
            ("study", study as u64, MOST_LOCAL),
            ("test_samples", test_samples as u64, i64::MAX as u64),
            ("validation", self.validation as u64, MOST_SAMPLES),
            ("validation_batch", self.validation_batch as u64, MOST_SAMPLES),
            ("judge_on", self.judge_on as u64, MOST_SAMPLES),
            // Files hold whole numbers of 63 bits.
            ("seed", self.seed, i64::MAX as u64),
            ("data_seed", self.data_seed, i64::MAX as u64),
        ];
        match counts.iter().find(|(_, found, most)| found > most) {
            None => Ok(()),
            Some((key, found, most)) => {
                Err(SpecError::new(format!("{key} is at most {most}; got {found}")))
            }
        }
    }
}

/// A TOML error without its picture of the file.
pub(crate) fn one_line(error: &toml::de::Error) -> String {
    let text = error.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;

    #[test]
    fn the_keys_are_the_fields_in_order() {
        let full = Settings {
            f_real: Some(0),
            start: "file".into(),
            start_prefix: "module.".into(),
            optimum: "newton".into(),
            local_steps: 2,
            local_rate: 0.1,
            local_optimiser: "adamw".into(),
            compression: "top-k".into(),
            participation: "sample workers=2".into(),
            non_finite: "skip-round".into(),
            server_optimiser: "adam".into(),
            weights: "samples".into(),
            certificate: "fast".into(),
            partition_over: "honest".into(),
            ..Settings::default()
        };
        let table = Table::try_from(&full).unwrap();
        let mut keys: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        let mut fields: Vec<&str> = table.keys().map(String::as_str).collect();
        keys.sort_unstable();
        fields.sort_unstable();
        assert_eq!(keys, fields);
    }

    #[test]
    fn keys_that_are_left_out_print_their_defaults() {
        let (table, default) = (Table::try_from(Settings::default()).unwrap(), Settings::default());
        for (name, text) in UNSAID {
            assert!(!table.contains_key(*name), "{name}");
            assert_eq!(default.text(name), *text);
        }
        let told = Settings { local_rate: 0.5, ..default };
        assert_eq!(told.text("local_rate"), "0.5");
    }

    #[test]
    fn sizes_have_upper_ends() {
        let refused = |settings: Settings| settings.check_numbers().unwrap_err().to_string();
        let steps = Settings { steps: u64::MAX, ..Settings::default() };
        assert_eq!(refused(steps), format!("steps is at most {MOST_STEPS}; got {}", u64::MAX));
        let n = Settings { n: usize::MAX, ..Settings::default() };
        assert!(refused(n).starts_with("n is at most 1048576; got "));
        let batch = Settings { batch: 1 << 40, ..Settings::default() };
        assert!(refused(batch).starts_with("batch is at most "));
        let local = Settings { local_steps: 1 << 40, ..Settings::default() };
        assert!(refused(local).starts_with("local_steps is at most "));
        Settings::default().check_numbers().unwrap();
    }

    #[test]
    fn all_hostile_is_refused_and_unknown_words_are_guessed() {
        let all = Settings { n: 10, f: 10, ..Settings::default() };
        let error = all.check_numbers().unwrap_err().to_string();
        assert_eq!(error, "f is less than n; got n = 10, f = 10");
        let typo = Settings { momentum_at: "workers".into(), ..Settings::default() };
        let error = typo.optimiser().unwrap_err().to_string();
        assert_eq!(error, "unknown momentum_at \"workers\"; did you mean \"worker\"?");
        assert!(Settings::default().optimiser().unwrap().clip.is_none());
    }
}
