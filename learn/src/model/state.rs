//! Parameters and buffers to and from safetensors files, with PyTorch's names, so that a model
//! moves to and from torch.

use super::{Model, Tensor};
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
/// norm, are skipped; a file without running statistics gives those of a new model.
///
/// # Errors
/// If the bytes are no such file, a tensor is missing or unknown, or differs in shape or type.
pub fn from_bytes(model: &dyn Model, bytes: &[u8]) -> Result<State, SpecError> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| SpecError::new(format!("no safetensors file: {error}")))?;
    let known: Vec<&str> = model
        .tensors()
        .iter()
        .chain(model.buffer_tensors())
        .map(|tensor| tensor.name.as_str())
        .collect();
    for name in file.names() {
        if !name.ends_with(".num_batches_tracked") && !known.contains(&name) {
            return Err(SpecError::unknown("tensor of this model", name, &known));
        }
    }
    let mut state = State { params: vec![0.0; model.dim()], buffers: model.init_buffers() };
    for tensor in model.tensors() {
        read(&file, tensor, &mut state.params)?;
    }
    for tensor in model.buffer_tensors() {
        if file.tensor(&tensor.name).is_ok() {
            read(&file, tensor, &mut state.buffers)?;
        }
    }
    Ok(state)
}

/// One tensor of the file into its place.
fn read(file: &SafeTensors, tensor: &Tensor, into: &mut [f32]) -> Result<(), SpecError> {
    let Tensor { name, shape, offset } = tensor;
    let view = file
        .tensor(name)
        .map_err(|_| SpecError::new(format!("tensor \"{name}\" is wanted; found none")))?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(SpecError::new(format!(
            "tensor \"{name}\" should be F32 of shape {shape:?}; found {:?} of {:?}",
            view.dtype(),
            view.shape()
        )));
    }
    for (to, four) in into[*offset..].iter_mut().zip(view.data().chunks_exact(4)) {
        *to = f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    }
    Ok(())
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

/// Reads the state from a file.
///
/// # Errors
/// If the file cannot be read or does not hold this model; names the file.
pub fn load(model: &dyn Model, path: &Path) -> Result<State, SpecError> {
    let bytes = std::fs::read(path)
        .map_err(|error| SpecError::new(error.to_string()).at(path.display()))?;
    from_bytes(model, &bytes).map_err(|error| error.at(path.display()))
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
        assert_eq!(load(model.as_ref(), &path).unwrap(), state);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_one_line() {
        let model = network();
        let state = State { params: model.init(Seed(1)), buffers: model.init_buffers() };
        let bytes = to_bytes(model.as_ref(), &state);
        let say = |bytes: &[u8]| from_bytes(model.as_ref(), bytes).unwrap_err().to_string();
        assert!(say(&bytes[..bytes.len() - 1]).starts_with("no safetensors file"));
        assert!(say(&[]).starts_with("no safetensors file"));
        let shape = Shape { channels: 3, height: 8, width: 8 };
        let other = super::super::build("empire-cnn hidden=6", shape, 4).unwrap();
        let state = State { params: other.init(Seed(1)), buffers: other.init_buffers() };
        assert_eq!(
            say(&to_bytes(other.as_ref(), &state)),
            "tensor \"fc1.weight\" should be F32 of shape [5, 512]; found F32 of [6, 512]"
        );
        let other = super::super::build("mlp", shape, 4).unwrap();
        let state = State { params: other.init(Seed(1)), buffers: Vec::new() };
        assert_eq!(
            say(&to_bytes(other.as_ref(), &state)),
            "tensor \"conv1.weight\" is wanted; found none"
        );
    }
}
