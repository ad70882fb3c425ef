//! Feeds arbitrary bytes to the loader of model states: an error or a state, never a panic.

#![no_main]

use varangian_learn::data::Shape;
use varangian_learn::model::{self, state};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let shape = Shape { channels: 1, height: 2, width: 2 };
    let model = model::build("mlp hidden=3", shape, 2).expect("an MLP takes any shape");
    if let Ok(state) = state::from_bytes(model.as_ref(), bytes, "") {
        assert_eq!(state.params.len(), model.dim());
    }
});
