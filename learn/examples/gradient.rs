//! Writes a model's initial state, a batch of normal inputs, the loss and the gradient to a folder,
//! for `bench/peers/gradients.py compare` to repeat in PyTorch.
//!
//! `cargo run --release --example gradient -- FOLDER "MODEL" CHANNELS HEIGHT WIDTH BATCH`

#![allow(clippy::print_stdout)]

use std::path::Path;
use varangian_base::{Domain, Seed};
use varangian_learn::data::Shape;
use varangian_learn::model::state::{self, State};
use varangian_learn::model::{self, Place, Prepared};
use varangian_learn::{Batch, Targets};

const CLASSES: usize = 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, text, channels, height, width, len] = &words[..] else {
        return Err("wanted: FOLDER \"MODEL\" CHANNELS HEIGHT WIDTH BATCH".into());
    };
    let folder = Path::new(folder);
    let (channels, height, width) = (channels.parse()?, height.parse()?, width.parse()?);
    let (shape, len): (Shape, usize) = (Shape { channels, height, width }, len.parse()?);
    let model = model::build(text, shape, CLASSES)?;
    let mut stream = Seed(1).stream(Domain::Test, 0, 0);
    let inputs: Vec<f32> = (0..len * shape.len()).map(|_| stream.normal() as f32).collect();
    let labels: Vec<u32> = (0..len).map(|_| stream.below(CLASSES) as u32).collect();
    let targets = Targets::Labels(labels.clone());
    let batch = Batch { inputs, targets, len, ..Batch::default() };
    let params = model.init(Seed(1));
    let (mut prepared, mut workspace) = (Box::new(()) as Prepared, model.workspace());
    let mut gradient = vec![0.0; model.dim()];
    model.prepare(&params, &mut prepared);
    let place = Place { seed: Seed(1), worker: 0, step: 0 };
    let loss = model.gradient(&params, &prepared, &batch, place, &mut workspace, &mut gradient);
    let mut buffers = model.init_buffers();
    state::save(
        model.as_ref(),
        &State { params, buffers: buffers.clone() },
        &folder.join("state.safetensors"),
    )?;
    model.statistics(&workspace, &mut buffers);
    state::save(
        model.as_ref(),
        &State { params: gradient, buffers },
        &folder.join("gradient.safetensors"),
    )?;
    let bytes: Vec<u8> = batch.inputs.iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(folder.join("inputs.f32"), bytes)?;
    let bytes: Vec<u8> = labels.iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(folder.join("labels.u32"), bytes)?;
    std::fs::write(folder.join("loss.txt"), format!("{loss}\n"))?;
    println!("{text}: d = {}, loss {loss}", model.dim());
    Ok(())
}
