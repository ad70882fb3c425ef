//! Rows for a duel: from a file, or what workers send at a step of honest training.

use super::{Arena, Args};
use crate::Failure;
use crate::arrays::{self, ATTACKS};
use std::sync::{Arc, Mutex};
use varangian_attacks::{Attack, Sees, View};
use varangian_base::{Matrix, RowsMut, Seed};
use varangian_lab::config::Settings;
use varangian_lab::run::Shelf;
use varangian_sim::lockstep::Lockstep;

/// The rows that `args` ask for.
pub(super) fn arena(args: &Args) -> Result<Arena, Failure> {
    if args.f == 0 {
        return Err(Failure::refused("a duel needs hostile workers; got f = 0"));
    }
    match &args.input {
        Some(_) => from_file(args),
        None => from_training(args),
    }
}

fn from_file(args: &Args) -> Result<Arena, Failure> {
    let path = args.input.as_ref().expect("asked for");
    let honest = arrays::read(path)?;
    if !honest.refused.is_empty() {
        let text = format!("{}: honest rows are finite", path.display());
        return Err(Failure::refused(text));
    }
    let honest = honest.narrow(path, ATTACKS)?;
    arrays::demand_room(args.f, honest.d())?;
    let mut own = Matrix::zeros(args.f, honest.d());
    for j in 0..args.f {
        own.row_mut(j).copy_from_slice(honest.row(j % honest.n()));
    }
    Ok(Arena::of(honest, own, args.f, Seed(args.seed)))
}

/// Trains honestly with the plain mean and keeps what is sent at the asked step.
fn from_training(args: &Args) -> Result<Arena, Failure> {
    let settings = Settings {
        dataset: args.dataset.clone(),
        model: args.model.clone(),
        partition: args.partition.clone(),
        n: args.n,
        f: args.f,
        batch: args.batch,
        steps: args.at_step + 1,
        seed: args.seed,
        ..Settings::default()
    };
    settings.check_numbers()?;
    let mut plan = Shelf::new(args.data.clone()).plan(&settings)?;
    let kept = Arc::new(Mutex::new(None));
    plan.attack = Box::new(Recorder { at: args.at_step, f: args.f, kept: kept.clone() });
    let mut run = Lockstep::new(plan)?;
    for _ in 0..=args.at_step {
        run.step();
    }
    let arena = kept.lock().expect("no thread panicked").take();
    arena.ok_or_else(|| Failure::failed("no rows were sent at the asked step"))
}

/// An "attack" that behaves honestly and keeps what it saw at one step.
struct Recorder {
    at: u64,
    f: usize,
    kept: Arc<Mutex<Option<Arena>>>,
}

impl Attack for Recorder {
    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        for (row, own) in out.iter_mut().zip(view.own.iter()) {
            row.copy_from_slice(own);
        }
        if view.step == self.at {
            let copy = |rows| {
                let mut matrix = Matrix::default();
                matrix.copy_from(rows);
                matrix
            };
            let (honest, own) = (copy(view.honest), copy(view.own));
            let arena = Arena {
                previous: view.previous.to_vec(),
                params: view.params.to_vec(),
                step: view.step,
                ..Arena::of(honest, own, self.f, view.seed)
            };
            *self.kept.lock().expect("no thread panicked") = Some(arena);
        }
    }

    fn sees(&self) -> Sees {
        Sees { rule: false, ..Sees::ALL }
    }

    fn fork(&self) -> Box<dyn Attack> {
        Box::new(Recorder { at: self.at, f: self.f, kept: self.kept.clone() })
    }
}
