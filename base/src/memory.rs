//! What a variant remembers between rounds, as plain named values that can be saved and loaded.

use crate::SpecError;
use std::collections::BTreeMap;

/// One remembered value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A vector of floats: a momentum, a running sum.
    Floats(Vec<f32>),
    /// A vector of doubles: statistics.
    Doubles(Vec<f64>),
    /// A vector of integers: counters, ids, flags.
    Integers(Vec<u64>),
}

/// Named values: the memory of a rule, an attack, an optimiser. Ordered, so that saving it twice
/// gives the same bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// The values by name; parts of a chain prefix theirs with "0/", "1/", …
    pub values: BTreeMap<String, Value>,
}

impl Memory {
    /// Remembers `value` as `name`.
    pub fn put(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_owned(), value);
    }

    /// The floats remembered as `name`.
    ///
    /// # Errors
    /// If there is no such value or it holds something else.
    pub fn floats(&self, name: &str) -> Result<&[f32], SpecError> {
        match self.values.get(name) {
            Some(Value::Floats(x)) => Ok(x),
            other => Err(missing(name, "floats", other)),
        }
    }

    /// The doubles remembered as `name`.
    ///
    /// # Errors
    /// If there is no such value or it holds something else.
    pub fn doubles(&self, name: &str) -> Result<&[f64], SpecError> {
        match self.values.get(name) {
            Some(Value::Doubles(x)) => Ok(x),
            other => Err(missing(name, "doubles", other)),
        }
    }

    /// The integers remembered as `name`.
    ///
    /// # Errors
    /// If there is no such value or it holds something else.
    pub fn integers(&self, name: &str) -> Result<&[u64], SpecError> {
        match self.values.get(name) {
            Some(Value::Integers(x)) => Ok(x),
            other => Err(missing(name, "integers", other)),
        }
    }

    /// Adds all of `other` under `prefix/`.
    pub fn absorb(&mut self, prefix: &str, other: Memory) {
        for (name, value) in other.values {
            self.values.insert(format!("{prefix}/{name}"), value);
        }
    }

    /// What was added under `prefix/`.
    pub fn part(&self, prefix: &str) -> Memory {
        let values = self
            .values
            .iter()
            .filter_map(|(name, value)| {
                let rest = name.strip_prefix(prefix)?.strip_prefix('/')?;
                Some((rest.to_owned(), value.clone()))
            })
            .collect();
        Memory { values }
    }
}

fn missing(name: &str, wanted: &str, found: Option<&Value>) -> SpecError {
    let found = match found {
        None => "nothing",
        Some(Value::Floats(_)) => "floats",
        Some(Value::Doubles(_)) => "doubles",
        Some(Value::Integers(_)) => "integers",
    };
    SpecError::new(format!("memory \"{name}\" should hold {wanted}; found {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_and_wrong_kinds_are_named() {
        let mut inner = Memory::default();
        inner.put("sum", Value::Floats(vec![1.0, 2.0]));
        let mut outer = Memory::default();
        outer.absorb("1", inner.clone());
        assert_eq!(outer.part("1"), inner);
        let error = outer.integers("1/sum").unwrap_err().to_string();
        assert_eq!(error, "memory \"1/sum\" should hold integers; found floats");
    }
}
