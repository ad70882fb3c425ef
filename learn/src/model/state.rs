//! Parameters and buffers to and from safetensors files, with PyTorch's names, so that a model
//! moves to and from torch.

use super::{Model, Tensor};
use crate::data::printable;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use std::path::Path;
use varangian_base::SpecError;

/// The parameters and buffers of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// d floats.
    pub params: Vec<f32>,
    /// The running statistics, or none.
    pub buffers: Vec<f32>,
}

/// The state as the bytes of a safetensors file.
pub fn to_bytes(model: &dyn Model, state: &State) -> Vec<u8> {
    let part = |tensor: &Tensor, all: &[f32]| -> (String, Vec<usize>, Vec<u8>) {
        let len: usize = tensor.shape.iter().product();
        let floats = &all[tensor.offset..tensor.offset + len];
        let bytes = floats.iter().flat_map(|x| x.to_le_bytes()).collect();
        (tensor.name.clone(), tensor.shape.clone(), bytes)
    };
    let params = model.tensors().iter().map(|tensor| part(tensor, &state.params));
    let buffers = model.buffer_tensors().iter().map(|tensor| part(tensor, &state.buffers));
    let parts: Vec<_> = params.chain(buffers).collect();
    let views = parts.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("4 bytes a float");
        (name.clone(), view)
    });
    serialize(views, None).expect("a model has fewer names than fit a header")
}

/// The state in the bytes of a safetensors file. Counters of batches, which PyTorch adds to batch
/// norm, are skipped; a file without any running statistics gives those of a new model. Numbers of
/// type F16 and BF16 widen exactly; F64 are rounded to the nearest F32. `prefix` is taken off the
/// names of all tensors, as wrappers put one before them ("module.", "_orig_mod.").
///
/// # Errors
/// If the bytes are no such file, a tensor is missing or unknown, differs in shape or is of another
/// type, or an entry is not finite in single precision, or a running variance is negative.
pub fn from_bytes(model: &dyn Model, bytes: &[u8], prefix: &str) -> Result<State, SpecError> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| SpecError::new(format!("no safetensors file: {error}")))?;
    names_are_known(model, &file, prefix)?;
    let mut state = State { params: vec![0.0; model.dim()], buffers: model.init_buffers() };
    for tensor in model.tensors() {
        read(&file, tensor, prefix, &mut state.params)?;
    }
    let given = |tensor: &&Tensor| file.tensor(&format!("{prefix}{}", tensor.name)).is_ok();
    let some = model.buffer_tensors().iter().any(|tensor| given(&tensor));
    for tensor in model.buffer_tensors().iter().filter(|_| some) {
        read(&file, tensor, prefix, &mut state.buffers)?;
        variances_are_none_negative(tensor, &state.buffers)?;
    }
    Ok(state)
}

/// Refuses names that are not the model's.
fn names_are_known(
    model: &dyn Model,
    file: &SafeTensors<'_>,
    prefix: &str,
) -> Result<(), SpecError> {
    let tensors = || model.tensors().iter().chain(model.buffer_tensors());
    let known: Vec<&str> = tensors().map(|tensor| tensor.name.as_str()).collect();
    let mut names = file.names();
    names.sort_unstable();
    for &name in &names {
        if name.ends_with(".num_batches_tracked") {
            continue;
        }
        let Some(bare) = name.strip_prefix(prefix) else {
            let name = printable(name);
            let text = format!("every tensor should begin with \"{prefix}\"; found \"{name}\"");
            return Err(SpecError::new(text).at("start_prefix"));
        };
        if known.contains(&bare) {
            continue;
        }
        return Err(match prefix_of(model, &names).filter(|found| found != prefix) {
            Some(found) => SpecError::new(format!(
                "tensor \"{}\" is not one of this model; start_prefix = \"{}\" takes the start off \
                 such names",
                printable(name),
                printable(&found),
            )),
            None => {
                let error = SpecError::unknown("tensor of this model", &printable(bare), &known);
                SpecError::new(format!("{error} (`varangian models NAME` lists the names)"))
            }
        });
    }
    Ok(())
}

/// What stands before the names of all tensors of the model in these names, if it is one text.
fn prefix_of(model: &dyn Model, names: &[&str]) -> Option<String> {
    let first = &model.tensors().first()?.name;
    let starts = names.iter().filter_map(|name| name.strip_suffix(first.as_str()));
    let whole = |start: &&str| {
        let there = |name: &str| names.contains(&format!("{start}{name}").as_str());
        model.tensors().iter().all(|tensor| there(&tensor.name))
    };
    starts.filter(|start| !start.is_empty()).find(whole).map(str::to_owned)
}

/// One tensor of the file into its place.
fn read(
    file: &SafeTensors<'_>,
    tensor: &Tensor,
    prefix: &str,
    into: &mut [f32],
) -> Result<(), SpecError> {
    let Tensor { name, shape, offset } = tensor;
    let view = file
        .tensor(&format!("{prefix}{name}"))
        .map_err(|_| SpecError::new(format!("tensor \"{prefix}{name}\" is wanted; found none")))?;
    let numbers = doubles(&view).filter(|_| view.shape() == shape);
    let numbers = numbers.ok_or_else(|| {
        SpecError::new(format!(
            "tensor \"{name}\" should be F32 (or F64, F16, BF16) of shape {shape:?}; found {:?} of {:?}",
            view.dtype(),
            view.shape()
        ))
    })?;
    for (i, (to, number)) in into[*offset..].iter_mut().zip(numbers).enumerate() {
        *to = number as f32;
        if !to.is_finite() {
            let wanted = match number.is_finite() {
                true => "a number of single precision, at most 3.4e38 in size",
                false => "a finite number",
            };
            return Err(wrong(tensor, i, wanted, number));
        }
    }
    Ok(())
}

/// The entries of a tensor of floats in double precision, which holds each of the types exactly.
fn doubles(view: &TensorView<'_>) -> Option<Vec<f64>> {
    fn each<const N: usize>(data: &[u8], double: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        data.as_chunks::<N>().0.iter().map(|&bytes| double(bytes)).collect()
    }
    let data = view.data();
    match view.dtype() {
        Dtype::F32 => Some(each(data, |b| f64::from(f32::from_le_bytes(b)))),
        Dtype::F64 => Some(each(data, f64::from_le_bytes)),
        Dtype::F16 => Some(each(data, |b| f16::from_le_bytes(b).to_f64())),
        Dtype::BF16 => Some(each(data, |b| bf16::from_le_bytes(b).to_f64())),
        _ => None,
    }
}

fn variances_are_none_negative(tensor: &Tensor, buffers: &[f32]) -> Result<(), SpecError> {
    let len: usize = tensor.shape.iter().product();
    let values = &buffers[tensor.offset..tensor.offset + len];
    match values.iter().position(|&v| v < 0.0) {
        Some(i) if tensor.name.ends_with("running_var") => {
            Err(wrong(tensor, i, "a variance of at least 0", f64::from(values[i])))
        }
        _ => Ok(()),
    }
}

/// An entry that cannot be, named by its indices.
fn wrong(tensor: &Tensor, i: usize, wanted: &str, found: f64) -> SpecError {
    let mut rest = i;
    let mut place: Vec<usize> = Vec::new();
    for &size in tensor.shape.iter().rev() {
        place.insert(0, rest % size);
        rest /= size;
    }
    let name = &tensor.name;
    SpecError::new(format!(
        "tensor \"{name}\", entry {place:?} should be {wanted}; found {found:e}"
    ))
}

/// Writes the state to a file, which is there whole or not at all.
///
/// # Errors
/// As the file system gives them.
pub fn save(model: &dyn Model, state: &State, path: &Path) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, to_bytes(model, state))?;
    std::fs::rename(&partial, path)
}

/// Reads the state from a file, whose tensors have `prefix` before their names.
///
/// # Errors
/// If the file cannot be read or does not hold this model; names the file.
pub fn load(model: &dyn Model, path: &Path, prefix: &str) -> Result<State, SpecError> {
    let bytes = std::fs::read(path)
        .map_err(|error| SpecError::new(error.to_string()).at(path.display()))?;
    from_bytes(model, &bytes, prefix).map_err(|error| error.at(path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Shape;
    use varangian_base::Seed;

    fn network() -> Box<dyn Model> {
        let shape = Shape { channels: 3, height: 8, width: 8 };
        super::super::build("empire-cnn hidden=5", shape, 4).unwrap()
    }

    #[test]
    fn a_state_survives_the_file() {
        let model = network();
        let mut state = State { params: model.init(Seed(1)), buffers: model.init_buffers() };
        state.buffers[3] = 0.25;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        save(model.as_ref(), &state, &path).unwrap();
        assert_eq!(load(model.as_ref(), &path, "").unwrap(), state);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_one_line() {
        let model = network();
        let state = State { params: model.init(Seed(1)), buffers: model.init_buffers() };
        let bytes = to_bytes(model.as_ref(), &state);
        let say = |bytes: &[u8]| from_bytes(model.as_ref(), bytes, "").unwrap_err().to_string();
        assert!(say(&bytes[..bytes.len() - 1]).starts_with("no safetensors file"));
        assert!(say(&[]).starts_with("no safetensors file"));
        let shape = Shape { channels: 3, height: 8, width: 8 };
        let other = super::super::build("empire-cnn hidden=6", shape, 4).unwrap();
        let state = State { params: other.init(Seed(1)), buffers: other.init_buffers() };
        assert_eq!(
            say(&to_bytes(other.as_ref(), &state)),
            "tensor \"fc1.weight\" should be F32 (or F64, F16, BF16) of shape [5, 512]; \
             found F32 of [6, 512]"
        );
        let other = super::super::build("mlp", shape, 4).unwrap();
        let state = State { params: other.init(Seed(1)), buffers: Vec::new() };
        assert_eq!(
            say(&to_bytes(other.as_ref(), &state)),
            "tensor \"conv1.weight\" is wanted; found none"
        );
    }

    /// A safetensors file of these tensors: name, type, shape, bytes.
    fn file(parts: &[(String, Dtype, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
        let views = parts.iter().map(|(name, dtype, shape, bytes)| {
            (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        serialize(views, None).unwrap()
    }

    /// All tensors of the model, entry i of each made by `number` and written by `write`.
    fn written(
        model: &dyn Model,
        prefix: &str,
        dtype: Dtype,
        write: impl Fn(&str, usize) -> Vec<u8>,
    ) -> Vec<u8> {
        let part = |tensor: &Tensor| {
            let len = tensor.shape.iter().product();
            let bytes = (0..len).flat_map(|i| write(&tensor.name, i)).collect();
            (format!("{prefix}{}", tensor.name), dtype, tensor.shape.clone(), bytes)
        };
        let parts: Vec<_> =
            model.tensors().iter().chain(model.buffer_tensors()).map(part).collect();
        file(&parts)
    }

    #[test]
    fn every_width_of_float_says_the_same_state() {
        let model = network();
        let number = |i: usize| (i % 7) as f64 * 0.25 + 0.125;
        let single = |_: &str, i: usize| (number(i) as f32).to_le_bytes().to_vec();
        let read = |bytes: &[u8], prefix: &str| from_bytes(model.as_ref(), bytes, prefix).unwrap();
        let wanted = read(&written(model.as_ref(), "", Dtype::F32, single), "");
        let double = |_: &str, i: usize| number(i).to_le_bytes().to_vec();
        assert_eq!(read(&written(model.as_ref(), "", Dtype::F64, double), ""), wanted);
        let half = |_: &str, i: usize| f16::from_f64(number(i)).to_le_bytes().to_vec();
        assert_eq!(read(&written(model.as_ref(), "", Dtype::F16, half), ""), wanted);
        let brain = |_: &str, i: usize| bf16::from_f64(number(i)).to_le_bytes().to_vec();
        assert_eq!(read(&written(model.as_ref(), "", Dtype::BF16, brain), ""), wanted);
        for prefix in ["module.", "_orig_mod.", "module._orig_mod."] {
            let bytes = written(model.as_ref(), prefix, Dtype::F32, single);
            assert_eq!(read(&bytes, prefix), wanted);
            let error = from_bytes(model.as_ref(), &bytes, "").unwrap_err().to_string();
            assert!(error.contains(&format!("start_prefix = \"{prefix}\"")), "{error}");
            let error = from_bytes(model.as_ref(), &bytes, "x.").unwrap_err().to_string();
            assert!(error.starts_with("start_prefix: every tensor"), "{error}");
        }
    }

    #[test]
    fn what_no_state_can_hold_is_named_by_tensor_and_entry() {
        let model = network();
        let say = |name: &str, at: usize, value: f64| {
            let write = |tensor: &str, i: usize| {
                let value = if (tensor, i) == (name, at) { value } else { 0.5 };
                value.to_le_bytes().to_vec()
            };
            let bytes = written(model.as_ref(), "", Dtype::F64, write);
            from_bytes(model.as_ref(), &bytes, "").unwrap_err().to_string()
        };
        let wanted = "tensor \"fc1.weight\", entry [1, 2] should be a finite number; found NaN";
        assert_eq!(say("fc1.weight", 514, f64::NAN), wanted);
        assert!(say("fc1.bias", 4, f64::NEG_INFINITY).contains("entry [4] should be a finite"));
        assert!(
            say("fc1.bias", 0, 1e300).contains("of single precision"),
            "{}",
            say("fc1.bias", 0, 1e300)
        );
        let buffers: Vec<&str> = model.buffer_tensors().iter().map(|t| t.name.as_str()).collect();
        let variance = buffers.iter().find(|name| name.ends_with("running_var")).unwrap();
        let mean = buffers.iter().find(|name| name.ends_with("running_mean")).unwrap();
        assert!(say(variance, 1, -0.25).ends_with("a variance of at least 0; found -2.5e-1"));
        assert!(say(mean, 0, f64::INFINITY).contains("finite"));
        // Some of the running statistics are no running statistics.
        let part = |tensor: &Tensor| {
            let bytes = vec![0; 4 * tensor.shape.iter().product::<usize>()];
            (tensor.name.clone(), Dtype::F32, tensor.shape.clone(), bytes)
        };
        let parts: Vec<_> =
            model.tensors().iter().chain(&model.buffer_tensors()[..1]).map(part).collect();
        let error = from_bytes(model.as_ref(), &file(&parts), "").unwrap_err().to_string();
        assert!(error.ends_with("is wanted; found none"), "{error}");
        assert!(from_bytes(model.as_ref(), &file(&parts[..parts.len() - 1]), "").is_ok());
    }
}
