//! The planned runs of a folder with their settings, as its configuration lists them.

use super::Store;
use super::key::{is_key, lettered};
use crate::config::Settings;
use crate::files;

impl Store {
    /// The runs that `experiment.toml` lists, by their keys; nothing where it cannot be read, as a
    /// stranger's may not be.
    pub fn plan(&self) -> Vec<(String, Settings)> {
        let text = files::text_of(&self.path("experiment.toml"));
        let keys = text.lines().filter_map(|line| line.strip_prefix("[[run]] # "));
        let keys: Vec<&str> = keys.map(str::trim).collect();
        let Ok(mut common) = text.parse::<toml::Table>() else { return Vec::new() };
        let runs = match common.remove("run") {
            Some(toml::Value::Array(runs)) => runs,
            _ => return Vec::new(),
        };
        common.remove("name");
        if runs.len() != keys.len() {
            return Vec::new();
        }
        let mut plan = Vec::new();
        for (key, run) in keys.into_iter().zip(runs) {
            let toml::Value::Table(own) = run else { continue };
            let mut table = common.clone();
            table.extend(own);
            if let Ok(settings) = Settings::read(table)
                && is_key(key)
            {
                plan.push((lettered(key), settings));
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_is_what_the_configuration_lists_and_a_strangers_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(folder.path()).unwrap();
        let text = "name = 'x'\nn = 7\n\n[[run]] # r0123456789ab\nrule = 'krum'\n\n\
                    [[run]] # r0123456789ac\nrule = 'median'\nf = 2\n";
        store.write("experiment.toml", text.as_bytes()).unwrap();
        let plan = store.plan();
        let told: Vec<_> = plan.iter().map(|(_, own)| (own.n, own.f, own.rule.as_str())).collect();
        assert_eq!(told, [(7, 0, "krum"), (7, 2, "median")]);
        assert_eq!(plan[0].0, "r0123456789ab");
        for foreign in ["[[run]] # r0123456789ab\nn = 'many'\n", "run = 3", "\0"] {
            store.write("experiment.toml", foreign.as_bytes()).unwrap();
            assert!(store.plan().is_empty(), "{foreign}");
        }
    }
}
