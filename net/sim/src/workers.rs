//! The honest workers' hosts: the real client and the real loop.

use crate::history::Event;
use crate::model::{Nothing, Valley};
use crate::scenario::PORT;
use crate::stage::Stage;
use crate::{fibre, street};
use std::rc::Rc;
use varangian_base::Seed;
use varangian_net::{Client, Connection, Ending, Happened, Start, is_signed, work};
use varangian_train::Job;

/// Seconds that a worker looks for a server; no fault lasts as long.
const PATIENCE: f64 = 900.0;

/// A worker's process.
pub async fn process(stage: Rc<Stage>, id: u32) -> turmoil::Result {
    let own = Rc::clone(&stage);
    let ending = fibre::run(&stage, id, move || {
        let address = format!("127.0.0.1:{PORT}");
        let connection = Connection { address, keys: None, server_name: None, worker: Some(id) };
        let client = Client::simulated(connection, |endpoint| street::channel(&endpoint, id));
        let optimiser = own.scenario.optimiser.clone();
        let model = Valley::default();
        let job = Job {
            model: &model,
            train: &Nothing,
            sampler: &Nothing,
            optimiser: &optimiser,
            seed: Seed(own.scenario.seed),
        };
        let mut key = Vec::new();
        work(
            &mut client.expect("an address on loopback"),
            &job,
            Start { patience: PATIENCE, state: None },
            &|| false,
            &mut |happened| match happened {
                Happened::Joined(joined) => {
                    key.clone_from(&joined.receipt_key);
                    own.note(Event::Joined(id));
                }
                Happened::Answered(receipt) => {
                    assert!(is_signed(receipt, &key), "worker {id}: a receipt that is not signed");
                    assert_eq!(receipt.worker, id, "a receipt of another worker");
                    let (number, reason) = (receipt.number, receipt.reason.clone());
                    own.note(Event::Receipt(id, number, receipt.admitted, reason));
                }
                Happened::Ready(..) | Happened::Stale(..) | Happened::Behind(_) => {}
                Happened::Lost(_) => own.note(Event::Lost(id)),
            },
        )
    });
    let ending = match ending.await {
        Ok(Ending::Finished) => "finished".to_owned(),
        Ok(Ending::Stopped) => "stopped".to_owned(),
        Err(trouble) => trouble.to_string(),
    };
    stage.note(Event::Ended(id, ending));
    Ok(())
}
