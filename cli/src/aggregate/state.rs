//! What a rule with a memory remembers from one call to the next, in a file.
//!
//! One JSON object: the format, its version, the rule's text, n, f, d and the seed that it was
//! called with, the next step, the memory, and a checksum of all of it. Written whole or not at
//! all; refused where it is not of this rule on rows of this shape.

use crate::Failure;
use serde_json::{Value as Json, json};
use std::path::Path;
use varangian_base::{Memory, Value};
use varangian_lab::files;
use varangian_rules::Pipeline;

const FORMAT: &str = "varangian-state";
const VERSION: u64 = 1;
/// The largest state that is read.
const LARGEST: u64 = 4 << 30;

/// Whom a state is of.
pub(super) struct Owner {
    pub(super) rule: String,
    /// Declared rows, hostile rows and coordinates.
    pub(super) shape: (usize, usize, usize),
    pub(super) seed: u64,
}

impl Owner {
    fn json(&self) -> Json {
        let (n, f, d) = self.shape;
        json!({ "rule": self.rule, "n": n, "f": f, "d": d, "seed": self.seed })
    }
}

/// Gives the rule what the file holds; answers the next step, 0 where there is no file.
///
/// # Errors
/// If the file cannot be read, was changed, or is of another rule or other rows.
pub(super) fn load(path: &Path, rule: &mut Pipeline, owner: &Owner) -> Result<u64, Failure> {
    let fail = |text: String| Failure::refused(format!("{}: {text}", path.display()));
    let bytes = match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Ok(about) if about.len() > LARGEST => {
            return Err(fail(format!(
                "a state has at most {LARGEST} bytes; found {}",
                about.len()
            )));
        }
        _ => std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?,
    };
    let mut value: Json = serde_json::from_slice(&bytes)
        .map_err(|_| fail(format!("a {FORMAT} is wanted; found what is no JSON")))?;
    if value["format"] != FORMAT {
        return Err(fail(format!("a {FORMAT} is wanted; found {}", value["format"])));
    }
    if value["version"] != VERSION {
        let found = &value["version"];
        return Err(fail(format!("{FORMAT} of version {VERSION} is read; found version {found}")));
    }
    let check = value.as_object_mut().and_then(|object| object.remove("check"));
    if check != Some(Json::from(checksum(&value))) {
        return Err(fail("it does not match its checksum: it was cut or edited".into()));
    }
    if value["of"] != owner.json() {
        let (found, wanted) = (&value["of"], owner.json());
        return Err(fail(format!("it is the state of {found}; this is {wanted}")));
    }
    let memory = unpack(&value["memory"])
        .filter(is_finite)
        .ok_or_else(|| fail("its memory is damaged".into()))?;
    rule.load(&memory).map_err(|error| fail(error.to_string()))?;
    value["step"].as_u64().ok_or_else(|| fail("it has no step".into()))
}

/// Keeps what the rule remembers, for the step that comes next.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn save(path: &Path, rule: &Pipeline, owner: &Owner, next: u64) -> Result<(), Failure> {
    let mut value = json!({
        "format": FORMAT, "version": VERSION, "of": owner.json(), "step": next,
        "memory": pack(&rule.save()),
    });
    value["check"] = checksum(&value).into();
    files::write_to(path, (value.to_string() + "\n").as_bytes())
}

/// Of the object without its checksum; its keys are in alphabetical order.
fn checksum(value: &Json) -> String {
    blake3::hash(value.to_string().as_bytes()).to_hex().to_string()
}

fn is_finite(memory: &Memory) -> bool {
    memory.values.values().all(|value| match value {
        Value::Floats(x) => x.iter().all(|x| x.is_finite()),
        Value::Doubles(x) => x.iter().all(|x| x.is_finite()),
        Value::Integers(_) => true,
    })
}

/// Numbers by their bits, so that each comes back as it was.
fn pack(memory: &Memory) -> Json {
    let value = |value: &Value| match value {
        Value::Floats(x) => json!({ "f32": x.iter().map(|x| x.to_bits()).collect::<Vec<_>>() }),
        Value::Doubles(x) => json!({ "f64": x.iter().map(|x| x.to_bits()).collect::<Vec<_>>() }),
        Value::Integers(x) => json!({ "u64": x }),
    };
    memory
        .values
        .iter()
        .map(|(name, own)| (name.clone(), value(own)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn unpack(value: &Json) -> Option<Memory> {
    let mut memory = Memory::default();
    for (name, own) in value.as_object()? {
        let (kind, numbers) = own.as_object()?.iter().next()?;
        let numbers: Vec<u64> =
            numbers.as_array()?.iter().map(Json::as_u64).collect::<Option<_>>()?;
        let single = |&bits: &u64| u32::try_from(bits).ok().map(f32::from_bits);
        let value = match kind.as_str() {
            "f32" => Value::Floats(numbers.iter().map(single).collect::<Option<_>>()?),
            "f64" => Value::Doubles(numbers.iter().map(|&bits| f64::from_bits(bits)).collect()),
            "u64" => Value::Integers(numbers),
            _ => return None,
        };
        memory.put(name, value);
    }
    Some(memory)
}
