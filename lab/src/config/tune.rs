//! `[tune]`: hyperparameters chosen for each rule, with the same budget for all.

use super::{KEYS, Settings, demand_few, grid, range};
use crate::Failure;
use toml::{Table, Value};
use varangian_base::SpecError;

/// What may be tuned: nothing that says what the problem or the adversary is.
pub const TUNABLE: [&str; 12] = [
    "batch",
    "learning_rate",
    "schedule",
    "momentum",
    "momentum_at",
    "nesterov",
    "dampening",
    "clip",
    "clip_mode",
    "regulariser",
    "regularise",
    "weight_decay",
];

/// The choice of hyperparameters: candidates, and what they are judged on.
#[derive(Clone, Debug, PartialEq)]
pub struct Tune {
    /// Tables of tuned keys, the same for all rules, in the order of the product.
    pub candidates: Vec<Table>,
    /// Training samples that are held out to judge on; the test set is never looked at.
    pub validation: usize,
    /// Seeds of the runs that candidates are judged by; those of the experiment where empty.
    pub seeds: Vec<u64>,
}

impl Tune {
    /// Reads the table `[tune]`: lists of tunable keys, `validation` and `seed`.
    ///
    /// # Errors
    /// If a key cannot be tuned or holds what it cannot hold.
    pub fn read(mut table: Table) -> Result<Self, Failure> {
        range::expand(&mut table)?;
        let validation = match table.remove("validation") {
            None => 1000,
            Some(Value::Integer(count)) if count >= 1 => count as usize,
            Some(other) => return Err(wrong("validation", "a number of samples from 1", &other)),
        };
        let seeds = match table.remove("seed") {
            None => Vec::new(),
            Some(Value::Array(seeds)) => seeds.iter().map(seed).collect::<Result<_, _>>()?,
            Some(one) => vec![seed(&one)?],
        };
        let mut known = TUNABLE.to_vec();
        known.extend(["validation", "seed"]);
        if let Some(key) = table.keys().find(|key| !TUNABLE.contains(&key.as_str())) {
            return Err(Failure::from(SpecError::unknown("key", key, &known)));
        }
        demand_few(grid::count(&table))?;
        let candidates = grid::product(&table);
        match table.is_empty() || candidates.is_empty() {
            true => Err(Failure::refused(
                "needs a key with a list, such as learning_rate = [0.02, 0.1]; found none",
            )),
            false => Ok(Tune { candidates, validation, seeds }),
        }
    }

    /// The settings with candidate k's values.
    ///
    /// # Errors
    /// If a value has the wrong type.
    pub fn with(&self, settings: &Settings, k: usize) -> Result<Settings, Failure> {
        let mut table = Table::try_from(settings).expect("scalars");
        table.extend(self.candidates[k].clone());
        Settings::read(table)
    }

    /// "learning_rate=0.1, momentum=0.9".
    pub fn label(&self, k: usize) -> String {
        let part = |key: &str| {
            let value = self.candidates[k].get(key)?;
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Some(format!("{key}={text}"))
        };
        KEYS.iter().filter_map(|key| part(key.name)).collect::<Vec<_>>().join(", ")
    }
}

fn seed(value: &Value) -> Result<u64, Failure> {
    let seed = value.as_integer().and_then(|seed| u64::try_from(seed).ok());
    seed.ok_or_else(|| wrong("seed", "whole numbers from 0", value))
}

fn wrong(key: &str, wants: &str, found: &Value) -> Failure {
    Failure::refused(format!("{key} takes {wants}; found {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_the_product_and_only_hyperparameters_can_be_tuned() {
        let read = |text: &str| Tune::read(text.parse().unwrap());
        let tune = read("momentum = [0, 0.9]\nlearning_rate = [0.1, 0.2]\nseed = 9").unwrap();
        assert_eq!((tune.candidates.len(), tune.validation, tune.seeds.len()), (4, 1000, 1));
        assert_eq!(tune.label(1), "learning_rate=0.1, momentum=0.9");
        let chosen = tune.with(&Settings::default(), 3).unwrap();
        assert_eq!((chosen.learning_rate, chosen.momentum), (0.2, 0.9));
        assert!(read("f = [1, 2]").unwrap_err().to_string().starts_with("unknown key \"f\""));
        assert!(read("seed = 1").unwrap_err().to_string().starts_with("needs a key"));
        assert!(read("validation = 0\nclip = [1, 2]").is_err());
    }
}
