//! A worker of a served run, with the caller's model and data.

use crate::border::{failed, guarded};
use crate::own::{Brought as Kind, Own};
use crate::watch::watched;
use pyo3::exceptions::{PyConnectionError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use varangian_lab::Failure;
use varangian_lab::run::{Brought, Kept, Station};
use varangian_net::{Client, Connection, Ending, Happened, Keys, Start};

/// Where the server is, who the worker is there, and what it brings.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Post {
    address: String,
    worker: Option<u32>,
    /// ca.pem, the certificate and its key.
    keys: Option<(PathBuf, PathBuf, PathBuf)>,
    server_name: Option<String>,
    data: Option<PathBuf>,
    set: Vec<String>,
    own: Vec<Own>,
    patience: f64,
    threads: usize,
    /// Where momentum is kept.
    state: Option<PathBuf>,
}

/// What a worker's loop came to.
struct Count {
    worker: u32,
    admitted: u64,
    refused: u64,
    reason: String,
    finished: bool,
}

/// Works for a server until the run is over; signals are looked for on this thread.
#[pyfunction]
pub(crate) fn work<'py>(py: Python<'py>, post: Post) -> PyResult<Bound<'py, PyDict>> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let count = watched(py, &stop, move || guarded(|| labour(&post, &told)))???;
    let told = PyDict::new(py);
    told.set_item("worker", count.worker)?;
    told.set_item("admitted", count.admitted)?;
    told.set_item("refused", count.refused)?;
    told.set_item("reason", count.reason)?;
    told.set_item("finished", count.finished)?;
    Ok(told)
}

fn connection(post: &Post) -> Connection {
    let keys = post.keys.clone();
    Connection {
        address: post.address.clone(),
        keys: keys.map(|(ca, certificate, key)| Keys { ca, certificate, key }),
        server_name: post.server_name.clone(),
        worker: post.worker,
    }
}

fn labour(post: &Post, stop: &AtomicBool) -> PyResult<Count> {
    let lost = |text: String| PyConnectionError::new_err(text);
    let stops = || stop.load(Ordering::Relaxed);
    let mut count =
        Count { worker: 0, admitted: 0, refused: 0, reason: String::new(), finished: false };
    let client = Client::new(connection(post));
    let mut client = client.map_err(|trouble| PyValueError::new_err(trouble.to_string()))?;
    let joined = client.join_within(post.patience, &stops, &mut |_| {});
    let Some(joined) = joined.map_err(|trouble| lost(trouble.to_string()))? else {
        return Ok(count);
    };
    count.worker = joined.worker;
    let mut brought = Brought { data: post.data.clone(), ..Brought::default() };
    brought.set.clone_from(&post.set);
    for own in &post.own {
        match &own.kind {
            Kind::Rule(entry) => brought.own.rules.push(entry),
            Kind::Attack(entry) => brought.own.attacks.push(entry),
            Kind::Model(entry) => brought.own.models.push(entry),
            Kind::Dataset(entry) => brought.own.datasets.push(entry),
        }
    }
    let station = Station::of(&joined.terms.settings, &brought).map_err(failed)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(post.threads).build();
    let pool =
        pool.map_err(|error| failed(Failure::failed(format!("cannot start threads: {error}"))))?;
    let settings = &joined.terms.settings;
    let kept = post.state.clone().map(|path| Kept::new(path, settings, joined.worker, 1));
    let state = kept.as_ref().map(Kept::load).transpose().map_err(failed)?.flatten();
    let start = Start { patience: post.patience, state };
    let mut unkept = None;
    let mut listen = |happened: Happened<'_>| {
        if let (Happened::Ready(next, worker), Some(kept)) = (&happened, &kept)
            && let Err(failure) = kept.keep(*next, worker)
        {
            // A state that is not kept must not be believed in: the worker ends.
            unkept.get_or_insert(failure);
            stop.store(true, Ordering::Relaxed);
        }
        if let Happened::Answered(receipt) = happened {
            count.admitted += u64::from(receipt.admitted);
            count.refused += u64::from(!receipt.admitted);
            if !receipt.admitted {
                count.reason = format!("{}: {}", receipt.reason, receipt.detail);
            }
        }
    };
    let job = station.job();
    let ending =
        pool.install(|| varangian_net::work(&mut client, &job, start, &stops, &mut listen));
    if let Some(failure) = unkept {
        return Err(failed(failure));
    }
    count.finished = ending.map_err(|trouble| lost(trouble.to_string()))? == Ending::Finished;
    Ok(count)
}
