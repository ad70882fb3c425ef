//! One simulated run, from its seed to what is wrong with it.

use crate::history::Event;
use crate::scenario::{Fault, Nature, Plant, Scenario};
use crate::serve::Site;
use crate::stage::{Stage, Standing};
use crate::{hostile, judge, serve, workers};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot::error::TryRecvError;
use turmoil::{Builder, Sim};
use varangian_net::Order;

/// What time is cut into.
const TICK: Duration = Duration::from_millis(10);
/// Seconds after which a run is stuck.
const LONGEST: f64 = 600.0;

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What is wrong, if anything.
    pub wrong: Vec<String>,
    /// All that happened, as text.
    pub trace: String,
    /// Faults that showed, each with how often, and what else is counted.
    pub counts: std::collections::BTreeMap<String, u64>,
    /// Simulated seconds.
    pub seconds: f64,
}

/// Plays the scenario of a seed.
pub fn play(seed: u64, plant: Option<Plant>) -> Outcome {
    let stage = Stage::set(Scenario::draw(seed, plant));
    let played = catch_unwind(AssertUnwindSafe(|| Play::new(&stage).run()));
    let mut wrong = match played {
        Ok(Ok(())) => Vec::new(),
        Ok(Err(why)) => vec![why],
        Err(panic) => vec![format!("S8: a panic: {}", said(&*panic))],
    };
    wrong.extend(judge::judge(&stage));
    let mut counts = Default::default();
    judge::count(&stage, &mut counts);
    let trace = stage.history.borrow().trace();
    let seconds = stage.elapsed.get();
    Stage::strike();
    Outcome { wrong, trace, counts, seconds }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "of no text".to_owned())
}

fn host(worker: u32) -> String {
    format!("w{worker}")
}

/// A run under way.
struct Play {
    stage: Rc<Stage>,
    site: Rc<Site>,
    sim: Sim<'static>,
    /// When the server is started again.
    again: Option<f64>,
    /// Orders whose answers have not come.
    orders: RefCell<Vec<(Order, Reply)>>,
}

/// What comes of an order.
type Reply = tokio::sync::oneshot::Receiver<varangian_net::proto::StatusReply>;

impl Play {
    fn new(stage: &Rc<Stage>) -> Self {
        let scenario = &stage.scenario;
        let (least, most) = scenario.latency;
        let mut sim = Builder::new()
            .tick_duration(TICK)
            .simulation_duration(Duration::from_secs(1_000_000))
            .min_message_latency(Duration::from_millis(least))
            .max_message_latency(Duration::from_millis(most))
            .tcp_capacity(4096)
            .rng_seed(scenario.seed)
            .enable_random_order()
            .build();
        let site = Rc::new(Site::default());
        let (own, place) = (Rc::clone(stage), Rc::clone(&site));
        sim.host("server", move || serve::process(Rc::clone(&own), Rc::clone(&place)));
        for (id, &nature) in (0..).zip(&scenario.natures) {
            let own = Rc::clone(stage);
            match nature {
                Nature::Honest => {
                    sim.host(host(id), move || workers::process(Rc::clone(&own), id));
                }
                nature => {
                    sim.host(host(id), move || hostile::process(Rc::clone(&own), id, nature));
                }
            }
        }
        Play { stage: Rc::clone(stage), site, sim, again: None, orders: RefCell::default() }
    }

    fn run(mut self) -> Result<(), String> {
        let stage = Rc::clone(&self.stage);
        let mut finished = None;
        loop {
            self.sim.step().map_err(|error| format!("S8: a host ended: {error}"))?;
            let now = self.sim.elapsed().as_secs_f64();
            stage.elapsed.set(now);
            self.look_after_the_server(now);
            self.turn_faults(now);
            self.hear_answers();
            if stage.finished.get() && finished.is_none() {
                finished = Some(now);
            }
            match finished {
                Some(_) if stage.all_ended() => return Ok(()),
                Some(since) if now > since + 30.0 => {
                    return Err("L2: a worker never learnt that the run is over".into());
                }
                None if now > LONGEST => {
                    return Err(format!("L1: the run is stuck after {LONGEST} s"));
                }
                _ => {}
            }
        }
    }

    /// Cuts its power where that is due, and starts it again after a while.
    fn look_after_the_server(&mut self, now: f64) {
        if let Some(point) = self.stage.cut.get().filter(|_| self.again.is_none()) {
            self.crash_the_server();
            let late = self.stage.between(0.0, 1.0) < 0.5;
            self.site.disk.borrow_mut().crash(late);
            *self.site.remote.borrow_mut() = None;
            self.stage.note(Event::Crashed(point));
            self.again = Some(now + self.stage.between(0.05, 5.0));
        }
        if self.again.is_some_and(|at| now >= at) {
            self.again = None;
            self.stage.cut.set(None);
            self.sim.bounce("server");
        }
    }

    /// Its connections end with it, in whatever order its tasks are dropped: what they say to the
    /// other side arrives all at once.
    fn crash_the_server(&mut self) {
        let faults = self.stage.faults.borrow();
        let cut = |worker: u32| {
            let mut those = self.stage.scenario.faults.iter().zip(&*faults);
            those.any(|(planned, (standing, _))| {
                let kinds = ["partition", "one-way partition", "hold"];
                matches!(standing, Standing::Acts(_))
                    && planned.fault.keeps_away() == Some(worker)
                    && kinds.contains(&planned.fault.kind())
            })
        };
        let workers = 0..self.stage.scenario.n as u32;
        let whole: Vec<String> = workers.filter(|&worker| !cut(worker)).map(host).collect();
        whole.iter().for_each(|worker| self.sim.hold("server", worker.as_str()));
        self.sim.crash("server");
        whole.iter().for_each(|worker| self.sim.release("server", worker.as_str()));
    }

    /// Begins and ends faults.
    fn turn_faults(&mut self, now: f64) {
        let faults = self.stage.scenario.faults.clone();
        for (at, planned) in faults.iter().enumerate() {
            let (standing, shown) = self.stage.faults.borrow()[at];
            let (kind, who) = (planned.fault.kind(), planned.fault.keeps_away());
            match standing {
                Standing::Waits if now >= planned.at && self.begin(at, &planned.fault) => {
                    self.stage.faults.borrow_mut()[at].0 = Standing::Acts(now);
                    self.stage.note(Event::Began(kind, who));
                }
                Standing::Acts(since) if shown > 0 && now >= since + planned.lasts => {
                    self.end(&planned.fault);
                    self.stage.faults.borrow_mut()[at].0 = Standing::Over;
                    self.stage.note(Event::Over(kind, who));
                }
                _ => {}
            }
        }
    }

    /// Looks which orders were obeyed; those to a server that was killed were not.
    fn hear_answers(&mut self) {
        self.orders.borrow_mut().retain_mut(|(order, reply)| match reply.try_recv() {
            Ok(_) => {
                self.stage.note(Event::Obeyed(*order));
                false
            }
            Err(error) => error == TryRecvError::Empty,
        });
    }

    /// Begins a fault, if that can be now.
    fn begin(&mut self, at: usize, fault: &Fault) -> bool {
        let remote = self.site.remote.borrow().clone();
        match *fault {
            Fault::Latency(worker, seconds) => {
                let latency = Duration::from_secs_f64(seconds);
                self.sim.set_link_latency("server", host(worker), latency);
            }
            Fault::Partition(worker) => self.sim.partition("server", host(worker)),
            Fault::OneWay(worker) => self.sim.partition_oneway(host(worker), "server"),
            Fault::Hold(worker) => self.sim.hold("server", host(worker)),
            Fault::WorkerCrash(worker) => {
                self.sim.crash(host(worker));
                self.stage.show(at);
            }
            Fault::ClockJump => {
                self.stage.jump(Duration::from_secs(3600));
                self.stage.show(at);
            }
            Fault::Revoke(worker) => {
                let Some(remote) = remote else { return false };
                self.order(&remote, Order::Revoke(worker));
                self.stage.show(at);
            }
            Fault::Pause => {
                let Some(remote) = remote else { return false };
                self.order(&remote, Order::Pause);
                self.stage.show(at);
            }
            _ => {}
        }
        true
    }

    fn end(&mut self, fault: &Fault) {
        let (least, most) = self.stage.scenario.latency;
        match *fault {
            Fault::Latency(worker, _) => {
                let name = host(worker);
                self.sim.set_link_latency("server", &*name, Duration::from_millis(least));
                self.sim.set_link_max_message_latency(
                    "server",
                    &*name,
                    Duration::from_millis(most),
                );
            }
            Fault::Partition(worker) => self.sim.repair("server", host(worker)),
            Fault::OneWay(worker) => self.sim.repair_oneway(host(worker), "server"),
            Fault::Hold(worker) => self.sim.release("server", host(worker)),
            Fault::WorkerCrash(worker) => self.sim.bounce(host(worker)),
            Fault::Pause => {
                if let Some(remote) = &*self.site.remote.borrow() {
                    self.order(remote, Order::Resume);
                }
            }
            _ => {}
        }
    }

    /// Gives the server an order; that it has obeyed is noted when it says so.
    fn order(&self, remote: &varangian_net::sim::Remote, order: Order) {
        self.orders.borrow_mut().push((order, remote.order(order)));
    }
}
