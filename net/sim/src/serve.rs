//! The server's host: the real machines, driven as the command drives them, on a simulated disk.

use crate::disk::{self, Disk};
use crate::history::{Digest, Event};
use crate::scenario::{Fault, Plant, Scenario};
use crate::stage::{Stage, Standing};
use crate::{fibre, street};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tonic::transport::server::Router;
use varangian_base::Memory;
use varangian_net::sim::{Director, Remote};
use varangian_net::{Arrivals, Doors, Rounds};
use varangian_train::Server;

/// What the driver has of the server.
#[derive(Default)]
pub struct Site {
    /// Its disk, which outlives it.
    pub disk: RefCell<Disk>,
    /// Where orders go, while it runs.
    pub remote: RefCell<Option<Remote>>,
}

/// BLAKE3 of parameters.
pub fn digest(params: &[f32]) -> Digest {
    let bytes: Vec<u8> = params.iter().flat_map(|x| x.to_le_bytes()).collect();
    Digest::of(&bytes)
}

/// The server's process, from its start on.
pub async fn process(stage: Rc<Stage>, site: Rc<Site>) -> turmoil::Result {
    let serve = street::serve().await?;
    let own = Rc::clone(&stage);
    fibre::run(&stage, u32::MAX, move || {
        if own.scenario.asynchronous {
            drive(&own, &site, Judging::open(&own, serve));
        } else {
            drive(&own, &site, Stepping::open(&own, serve));
        }
    })
    .await;
    Ok(())
}

fn doors(scenario: &Scenario) -> Doors {
    Doors {
        deadline: scenario.deadline,
        patience: 10.0,
        staleness: scenario.staleness,
        memory: scenario.memory,
        ..Doors::loopback()
    }
}

/// A server of one of the two kinds.
trait Drive {
    /// Goes on a little; what happened is noted.
    fn advance(&mut self, stage: &Stage);
    /// Steps, or judged messages.
    fn step(&self) -> u64;
    fn params(&self) -> &[f32];
    fn save(&self) -> Memory;
    fn load(&mut self, memory: &Memory);
    fn remote(&self) -> Remote;
    fn finish(&mut self);
}

struct Stepping(Rounds);

impl Stepping {
    fn open(stage: &Stage, serve: Box<dyn FnOnce(Router)>) -> Self {
        let scenario = &stage.scenario;
        let silence = scenario.plant == Some(Plant::SilenceIsHostile);
        let server = if silence { scenario.suspicious() } else { scenario.server() };
        let rule = (scenario.f, scenario.least());
        let decay = scenario.optimiser.weight_decay;
        let doors = doors(scenario);
        let rounds = Rounds::simulated(server, scenario.terms(), (&doors, serve), rule, decay);
        Stepping(rounds.expect("doors that somebody can mean"))
    }

    fn server(&self) -> &Server {
        self.0.server()
    }
}

impl Drive for Stepping {
    fn advance(&mut self, stage: &Stage) {
        let Some((_, _, closed)) = self.0.advance() else { return };
        let (step, f, ids, skipped) =
            (closed.step, closed.f, closed.ids.clone(), closed.skipped.clone());
        let refused = closed.refused.iter().map(|refusal| (refusal.worker, refusal.reason));
        let refused = refused.collect();
        let after = digest(self.server().params());
        stage.note(Event::Closed { step, f, ids, skipped, refused, after });
    }

    fn step(&self) -> u64 {
        self.server().step()
    }

    fn params(&self) -> &[f32] {
        self.server().params()
    }

    fn save(&self) -> Memory {
        self.0.save()
    }

    fn load(&mut self, memory: &Memory) {
        self.0.load(memory).expect("a state of this run");
    }

    fn remote(&self) -> Remote {
        self.0.remote()
    }

    fn finish(&mut self) {
        self.0.finish();
    }
}

struct Judging(Arrivals);

impl Judging {
    fn open(stage: &Stage, serve: Box<dyn FnOnce(Router)>) -> Self {
        let scenario = &stage.scenario;
        let doors = doors(scenario);
        let about = (scenario.f, scenario.rule);
        let terms = scenario.terms();
        let arrivals = Arrivals::simulated(scenario.queue(), terms, (&doors, serve), about);
        Judging(arrivals.expect("doors that somebody can mean"))
    }
}

impl Drive for Judging {
    fn advance(&mut self, stage: &Stage) {
        let Some(judged) = self.0.advance() else { return };
        let (version, after) = (self.0.queue().version(), digest(self.0.queue().params()));
        stage.note(Event::Judged { outcome: judged.outcome, version, after });
    }

    fn step(&self) -> u64 {
        self.0.queue().judged()
    }

    fn params(&self) -> &[f32] {
        self.0.queue().params()
    }

    fn save(&self) -> Memory {
        self.0.save()
    }

    fn load(&mut self, memory: &Memory) {
        self.0.load(memory).expect("a state of this run");
    }

    fn remote(&self) -> Remote {
        self.0.remote()
    }

    fn finish(&mut self) {
        self.0.finish();
    }
}

/// Drives a server from what its disk keeps to the end of the run.
fn drive(stage: &Stage, site: &Site, mut server: impl Drive) {
    let kept = site.disk.borrow().read().map(<[u8]>::to_vec);
    if let Some(bytes) = kept {
        server.load(&disk::unpack(&bytes).expect("what is kept is whole"));
    }
    let remote = server.remote();
    stage.starts.borrow_mut().push(remote.run());
    *site.remote.borrow_mut() = Some(remote.clone());
    let start = stage.starts.borrow().len() as u64;
    stage.note(Event::Started(start, server.step(), digest(server.params())));
    let mut last = server.step();
    while server.step() < stage.scenario.steps || !is_settled(stage) {
        server.advance(stage);
        let (held, all) = remote.held();
        assert!(held <= all, "{held} kB of messages under way, where {all} are allowed");
        if server.step() >= last + stage.scenario.every {
            last = server.step();
            keep(stage, site, &server);
        }
    }
    stage.note(Event::Finished(server.step()));
    server.finish();
    stage.finished.set(true);
    // Whoever asks a last time is answered; what is left of the memory budget is looked at.
    stage.wait(tokio::time::sleep(Duration::from_secs(1)));
    let (held, _) = remote.held();
    assert!(held == 0 || stage.scenario.hostile() > 0, "S7: {held} kB are held by nobody");
}

/// Whether nothing is to come that has to show while the server runs.
fn is_settled(stage: &Stage) -> bool {
    stage.all_over() && crate::judge::all_have_come_back(stage)
}

/// Keeps the state, as a file is kept that must be whole after a crash.
fn keep(stage: &Stage, site: &Site, server: &impl Drive) {
    let bytes = disk::pack(&server.save());
    let passes = |point| {
        if stage.passes(point) {
            stage.end_here();
        }
    };
    passes("checkpoint packed");
    for (at, planned) in stage.scenario.faults.iter().enumerate() {
        let (standing, shown) = stage.faults.borrow()[at];
        if !matches!(standing, Standing::Acts(_)) {
            continue;
        }
        match planned.fault {
            Fault::DiskFull(times) if shown < times => {
                site.disk.borrow_mut().full = 1;
                stage.show(at);
                break;
            }
            Fault::TornCheckpoint if shown == 0 => {
                let _ = site.disk.borrow_mut().write(&bytes, true);
                stage.cut_now(at, "checkpoint half written");
                stage.end_here();
            }
            _ => {}
        }
    }
    let written = site.disk.borrow_mut().write(&bytes, false);
    if let Err(error) = written {
        // The command ends then, and whoever runs it starts it again.
        stage.note(Event::NotKept(error));
        stage.cut.set(Some("no room for the checkpoint"));
        stage.end_here();
        return;
    }
    passes("checkpoint written");
    site.disk.borrow_mut().synchronise();
    passes("checkpoint synchronised");
    site.disk.borrow_mut().rename();
    // From here on it may be what a crash leaves.
    stage.note(Event::Kept(server.step(), digest(server.params())));
    passes("checkpoint renamed");
    site.disk.borrow_mut().settle();
    passes("checkpoint kept");
}
