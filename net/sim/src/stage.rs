//! What all hosts of a simulated run share: its history, its faults, and the code that runs now.

use crate::draw::Draw;
use crate::fibre;
use crate::history::{Digest, Event, History};
use crate::scenario::{Fault, Nature, Plant, Scenario};
use crate::street::Carried;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use varangian_net::sim::{Bug, Director, Seen};

/// How a fault stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    /// Its time has not come.
    Waits,
    /// Since when.
    Acts(f64),
    /// It was, and showed.
    Over,
}

/// What runs now: whose code, and the task that it is of.
type Now = Option<(u32, Waker)>;

/// The stage of one run.
pub struct Stage {
    /// What is played.
    pub scenario: Scenario,
    /// What happened.
    pub history: RefCell<History>,
    /// By digest, the bytes of every message that was sent.
    pub bodies: RefCell<BTreeMap<Digest, Bytes>>,
    /// By fault, how it stands and how often it showed.
    pub faults: RefCell<Vec<(Standing, u64)>>,
    /// The point at which the server's power is cut, once it is there.
    pub cut: Cell<Option<&'static str>>,
    /// How often the server was started, and by its number, which start it was.
    pub starts: RefCell<Vec<u64>>,
    /// Whether the run is over.
    pub finished: Cell<bool>,
    /// Seconds from the beginning, as the network counts them.
    pub elapsed: Cell<f64>,
    draw: RefCell<Draw>,
    passes: RefCell<BTreeMap<&'static str, u64>>,
    jumped: Cell<Duration>,
    now: RefCell<Now>,
}

thread_local! {
    static STAGE: RefCell<Option<Rc<Stage>>> = const { RefCell::new(None) };
}

impl Stage {
    /// The stage of a scenario, which is this thread's from now on.
    pub fn set(scenario: Scenario) -> Rc<Self> {
        let stage = Rc::new(Stage {
            history: RefCell::default(),
            bodies: RefCell::default(),
            faults: RefCell::new(vec![(Standing::Waits, 0); scenario.faults.len()]),
            cut: Cell::new(None),
            starts: RefCell::default(),
            finished: Cell::new(false),
            elapsed: Cell::new(0.0),
            draw: RefCell::new(Draw::new(scenario.seed, "stage")),
            passes: RefCell::default(),
            jumped: Cell::default(),
            now: RefCell::default(),
            scenario,
        });
        STAGE.set(Some(Rc::clone(&stage)));
        varangian_net::sim::direct(Some(Rc::clone(&stage) as Rc<dyn Director>));
        stage
    }

    /// Ends what was set on this thread.
    pub fn strike() {
        varangian_net::sim::direct(None);
        STAGE.set(None);
    }

    /// The stage of this thread.
    pub fn on_this_thread() -> Rc<Stage> {
        STAGE.with_borrow(|stage| Rc::clone(stage.as_ref().expect("it was set")))
    }

    /// Milliseconds from the beginning.
    pub fn millis(&self) -> u64 {
        let now = turmoil::sim_elapsed().map_or(self.elapsed.get(), |now| now.as_secs_f64());
        (now * 1000.0) as u64
    }

    /// Something happened.
    pub fn note(&self, event: Event) {
        let at = self.millis();
        self.history.borrow_mut().events.push((at, event));
    }

    /// Code of `who` runs from now on; what is returned ran before.
    pub fn enter(&self, who: u32, waker: &Waker) -> Now {
        self.now.replace(Some((who, waker.clone())))
    }

    /// What ran before runs again.
    pub fn leave(&self, outer: Now) {
        *self.now.borrow_mut() = outer;
    }

    /// Blocks the code that runs now until the future is over.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut output = None;
        self.give_way(&mut |context| future.as_mut().poll(context).map(|x| output = Some(x)));
        output.expect("it is over")
    }

    /// A draw of the stage's own.
    pub fn between(&self, low: f64, high: f64) -> f64 {
        self.draw.borrow_mut().between(low, high)
    }

    /// A message is sent: whoever sends it without a client says so.
    pub fn sent(&self, from: u32, about: (u64, u64, u64), body: &Bytes) {
        let (run, version, number) = about;
        let starts = self.starts.borrow();
        let start = starts.iter().position(|&other| other == run).map_or(0, |at| at as u64 + 1);
        let digest = Digest::of(body);
        self.bodies.borrow_mut().insert(digest, body.clone());
        self.note(Event::Sent { from, start, version, number, digest });
    }

    /// The faults that act now.
    fn acting(&self) -> Vec<(usize, Fault)> {
        let faults = self.faults.borrow();
        let acts = |at: &usize| matches!(faults[*at].0, Standing::Acts(_));
        let those = (0..faults.len()).filter(acts);
        those.map(|at| (at, self.scenario.faults[at].fault.clone())).collect()
    }

    /// A fault showed.
    pub fn show(&self, at: usize) {
        let count = {
            let shown = &mut self.faults.borrow_mut()[at].1;
            *shown += 1;
            *shown
        };
        if count == 1 {
            let fault = &self.scenario.faults[at].fault;
            self.note(Event::Showed(fault.kind(), fault.keeps_away()));
        }
    }

    /// What the network does to what is written now on a connection of `worker`.
    pub fn carries(&self, worker: u32) -> Carried {
        let mut carried = Carried::Well;
        for (at, fault) in self.acting() {
            match fault {
                Fault::Latency(whose, _)
                | Fault::Partition(whose)
                | Fault::OneWay(whose)
                | Fault::Hold(whose)
                    if whose == worker =>
                {
                    self.show(at);
                }
                Fault::Loss(whose, hundredths)
                    if whose == worker && self.between(0.0, 100.0) < hundredths as f64 =>
                {
                    self.show(at);
                    carried = Carried::Lost;
                }
                Fault::Reset(whose) if whose == worker && self.faults.borrow()[at].1 < 2 => {
                    self.show(at);
                    carried = Carried::Reset;
                }
                _ => {}
            }
        }
        carried
    }

    /// The server's clock jumps.
    pub fn jump(&self, by: Duration) {
        self.jumped.set(self.jumped.get() + by);
    }

    /// The server is at a point of keeping its state: whether it ends here.
    pub fn cuts(&self, point: &'static str) -> bool {
        self.passes(point)
    }

    /// The power is cut; the code that runs now goes no further.
    pub fn end_here(&self) {
        self.wait(std::future::pending::<()>());
    }

    /// Cuts the power now.
    pub fn cut_now(&self, at: usize, point: &'static str) {
        self.show(at);
        self.cut.set(Some(point));
    }

    /// Whether every honest worker's loop has ended.
    pub fn all_ended(&self) -> bool {
        let history = self.history.borrow();
        let ended = |id: u32| {
            let is_it = |event: &Event| matches!(event, Event::Ended(who, _) if *who == id);
            history.events.iter().any(|(_, event)| is_it(event))
        };
        let natures = (0..).zip(&self.scenario.natures);
        natures.filter(|(_, nature)| **nature == Nature::Honest).all(|(id, _)| ended(id))
    }

    /// Whether every fault was there and showed.
    pub fn all_over(&self) -> bool {
        self.faults.borrow().iter().all(|(standing, _)| *standing == Standing::Over)
    }
}

impl Director for Stage {
    fn passes(&self, point: &'static str) -> bool {
        if point == "round opened" {
            self.note(Event::Opened);
        }
        let count = {
            let mut passes = self.passes.borrow_mut();
            let count = passes.entry(point).or_default();
            *count += 1;
            *count
        };
        if self.cut.get().is_some() {
            // It is being cut: nothing gets past a point any more.
            return true;
        }
        for (at, fault) in self.acting() {
            if let Fault::ServerCrash(named, nth) = fault
                && named == point
                && count >= nth
                && self.faults.borrow()[at].1 == 0
            {
                self.cut_now(at, point);
                return true;
            }
        }
        false
    }

    fn plants(&self, bug: Bug) -> bool {
        self.scenario.plant == Some(Plant::Bug(bug))
    }

    fn sees(&self, seen: Seen) {
        match seen {
            Seen::Sent { run, version, number, body } => {
                let from = self.now.borrow().as_ref().map_or(u32::MAX, |(who, _)| *who);
                self.sent(from, (run, version, number), &body);
            }
            Seen::Answered { worker, version, number, digest, refused } => {
                let digest = Digest(digest);
                self.note(Event::Answered { worker, version, number, digest, refused });
            }
        }
    }

    fn jumped(&self) -> Duration {
        let is_server = self.now.borrow().as_ref().is_some_and(|(who, _)| *who == u32::MAX);
        if is_server { self.jumped.get() } else { Duration::ZERO }
    }

    fn give_way(&self, poll: &mut dyn FnMut(&mut Context<'_>) -> Poll<()>) {
        loop {
            let waker = self.now.borrow().as_ref().expect("code that blocks runs").1.clone();
            if poll(&mut Context::from_waker(&waker)).is_ready() {
                return;
            }
            fibre::give_way();
        }
    }

    fn is_inside(&self) -> bool {
        self.now.borrow().is_some()
    }
}
