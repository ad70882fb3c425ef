//! The memory of a rule as JSON: floats by their bits, so that what is not finite survives too.

use serde_json::{Value as Json, json};
use varangian_base::{Memory, Value};

/// Every value of a memory, by name.
pub(crate) fn pack(memory: &Memory) -> Json {
    let values = memory.values.iter().map(|(name, value)| {
        let packed = match value {
            Value::Floats(x) => {
                json!({"f32": x.iter().map(|x| x.to_bits()).collect::<Vec<_>>()})
            }
            Value::Doubles(x) => {
                json!({"f64": x.iter().map(|x| x.to_bits()).collect::<Vec<_>>()})
            }
            Value::Integers(x) => json!({"u64": x}),
        };
        (name.clone(), packed)
    });
    Json::Object(values.collect())
}

/// What [`pack`] packed; nothing where it is something else.
pub(crate) fn unpack(json: &Json) -> Option<Memory> {
    let mut memory = Memory::default();
    for (name, value) in json.as_object()? {
        let (kind, numbers) = value.as_object()?.iter().next()?;
        let numbers: Option<Vec<u64>> = numbers.as_array()?.iter().map(Json::as_u64).collect();
        let numbers = numbers?;
        let value = match kind.as_str() {
            "f32" => {
                let bits = numbers.into_iter().map(|x| u32::try_from(x).ok().map(f32::from_bits));
                Value::Floats(bits.collect::<Option<_>>()?)
            }
            "f64" => Value::Doubles(numbers.into_iter().map(f64::from_bits).collect()),
            "u64" => Value::Integers(numbers),
            _ => return None,
        };
        memory.put(name, value);
    }
    Some(memory)
}
