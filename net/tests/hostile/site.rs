//! A server that trains with five honest workers, and a sixth that is none.

use super::End;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio_stream::StreamExt;
use tonic::transport::Channel;
use tonic::{Request, Status};
use varangian_base::Seed;
use varangian_learn::optim::Optimiser;
use varangian_net::proto::parameter_server_client::ParameterServerClient;
use varangian_net::proto::{
    JoinRequest, LeaveRequest, PullRequest, PushHeader, PushRequest, Receipt, WatchRequest,
    pull_reply, push_request::Part,
};
use varangian_net::{Client, Connection, Doors, News, Rounds, Terms, is_signed};
use varangian_rules::Pipeline;
use varangian_train::wire::{Codec, Letter};
use varangian_train::{Server, Settings};

/// Parameters.
pub(super) const D: usize = 6;
/// Workers; the last is the hostile one.
const N: u32 = 6;
/// How long an honest worker computes.
const COMPUTES: Duration = Duration::from_millis(120);

/// A chunk of this length.
pub(super) fn chunk(length: usize) -> Part {
    Part::Chunk(vec![0; length].into())
}

/// The server and its workers.
pub(super) struct Site {
    /// Where the server listens.
    pub(super) address: SocketAddr,
    /// Where calls run.
    pub(super) runtime: tokio::runtime::Runtime,
    stub: ParameterServerClient<Channel>,
    run: u64,
    key: Vec<u8>,
    codec: Codec,
    /// The step after the last one that something was sent for.
    last: Mutex<u64>,
    over: Arc<AtomicBool>,
    closed: Arc<Mutex<Vec<Instant>>>,
    threads: Vec<JoinHandle<()>>,
}

fn open(codec: Codec) -> Rounds {
    let settings = Settings {
        n: N as usize,
        f: 1,
        weights: None,
        participation: None,
        non_finite: Default::default(),
        rule: Pipeline::parse("median").unwrap(),
        optimiser: Optimiser::sgd(0.01),
        steps_per_epoch: 1.0,
        buffers: Vec::new(),
        seed: Seed(1),
        packs_votes: false,
        silence_is_hostile: false,
    };
    let terms = Terms {
        n: N as usize,
        settings: "rule = 'median'".into(),
        layout: vec![("w".into(), vec![D])],
        letter: Letter { d: D, statistics: 0, codec },
        asynchronous: false,
        local: Default::default(),
        previous: false,
        updates: None,
    };
    let doors = Doors { deadline: 5.0, patience: 2.0, ..Doors::loopback() };
    let server = Server::new(settings, vec![0.0; D], None).unwrap();
    Rounds::open(server, terms, &doors, (1, 3), 0.0).unwrap()
}

/// An honest worker, until the run is over.
fn honest(address: SocketAddr, id: u32, codec: Codec) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let address = address.to_string();
        let connection = Connection { address, keys: None, server_name: None, worker: Some(id) };
        let mut client = Client::new(connection).unwrap();
        client.join("honest").unwrap();
        let row = [1.0, 0.0, 0.0, -1.0, 0.0, 0.0];
        let body = Letter { d: D, statistics: 0, codec }.encode(&row, &[]).into();
        let mut next = 0;
        loop {
            match client.pull(next, false, false).unwrap() {
                News::Whole(header, _) => {
                    std::thread::sleep(COMPUTES);
                    let step = header.version;
                    client.push((step, step), &body, 0.5).unwrap();
                    next = step + 1;
                }
                News::Finished => return,
                _ => {}
            }
        }
    })
}

impl Site {
    /// A server whose rows travel so.
    pub(super) fn open(codec: Codec) -> Self {
        let mut rounds = open(codec);
        let address = rounds.address();
        let (over, closed) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
        let mut threads: Vec<_> = (0..N - 1).map(|id| honest(address, id, codec)).collect();
        let (stop, times): (_, Arc<Mutex<Vec<Instant>>>) = (over.clone(), Arc::clone(&closed));
        threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if rounds.advance().is_some() {
                    times.lock().unwrap().push(Instant::now());
                }
            }
            rounds.finish();
        }));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let url = format!("http://{address}");
        let mut stub = runtime.block_on(ParameterServerClient::connect(url)).unwrap();
        let message = JoinRequest { protocols: vec![1], agent: "hostile".into() };
        let joined = runtime.block_on(stub.join(asks(message, Some("5")))).unwrap().into_inner();
        let leaves = asks(LeaveRequest { run: joined.run }, Some("5"));
        // No round waits for it.
        runtime.block_on(stub.leave(leaves)).unwrap();
        let (run, key) = (joined.run, joined.receipt_key.to_vec());
        let last = Mutex::default();
        Site { address, runtime, stub, run, key, codec, last, over, closed, threads }
    }

    /// Ends the run, which everyone must learn.
    pub(super) fn close(self) {
        self.over.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    /// The median of the seconds that rounds take meanwhile.
    pub(super) fn rounds_during(&self, what: impl FnOnce()) -> f64 {
        self.closed.lock().unwrap().clear();
        what();
        let times = self.closed.lock().unwrap().clone();
        let mut took: Vec<f64> =
            times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        assert!(took.len() >= 10, "rounds go on; {} did", took.len());
        took.sort_by(f64::total_cmp);
        took[took.len() / 2]
    }

    /// This start of the server.
    pub(super) fn run(&self) -> u64 {
        self.run
    }

    /// The step that is open, as soon as it is one of which nothing was sent.
    fn now(&self) -> u64 {
        let (mut stub, mut last) = (self.stub.clone(), self.last.lock().unwrap());
        self.runtime.block_on(async {
            let version = *last;
            let ask = PullRequest { run: self.run, version, ..PullRequest::default() };
            let mut stream = stub.pull(asks(ask, Some("5"))).await.unwrap().into_inner();
            match stream.message().await.unwrap().and_then(|reply| reply.part) {
                Some(pull_reply::Part::Header(header)) => {
                    *last = header.version + 1;
                    header.version
                }
                other => panic!("a header is due; found {other:?}"),
            }
        })
    }

    fn head(&self, step: u64, bytes: u64) -> PushHeader {
        let (version, number) = (step, step);
        PushHeader { run: self.run, version, number, bytes, ..PushHeader::default() }
    }

    /// The header of a message for the step that is open.
    pub(super) fn header(&self) -> Part {
        Part::Header(self.head(self.now(), 4 * D as u64))
    }

    fn sends(&self, parts: Vec<Part>, name: Option<&str>) -> Result<Receipt, Status> {
        let mut stub = self.stub.clone();
        let parts = parts.into_iter().map(|part| PushRequest { part: Some(part) });
        let request = asks(tokio_stream::iter(parts), name);
        self.runtime.block_on(stub.push(request)).map(tonic::Response::into_inner)
    }

    fn end(&self, said: Result<Receipt, Status>) -> End {
        match said {
            Err(status) => End::Status(status.code()),
            Ok(receipt) => {
                assert!(is_signed(&receipt, &self.key), "{receipt:?}");
                match receipt.admitted {
                    true => End::Counts,
                    false => End::Refused(receipt.reason.leak()),
                }
            }
        }
    }

    /// Sends a message of these parts.
    pub(super) fn push(&self, parts: Vec<Part>) -> End {
        self.end(self.sends(parts, Some("5")))
    }

    /// A message that says so many bytes and has so many.
    pub(super) fn sized(&self, says: u64, has: usize) -> End {
        self.push(vec![Part::Header(self.head(self.now(), says)), chunk(has)])
    }

    /// A message with this digest.
    pub(super) fn digested(&self, digest: Vec<u8>) -> End {
        let head = PushHeader { digest: digest.into(), ..self.head(self.now(), 24) };
        self.push(vec![Part::Header(head), chunk(24)])
    }

    /// A message for this start of the server.
    pub(super) fn of_run(&self, run: u64) -> End {
        let head = PushHeader { run, ..self.head(self.now(), 24) };
        self.push(vec![Part::Header(head), chunk(24)])
    }

    /// A message for this version, of this number.
    pub(super) fn at(&self, place: impl Fn(u64) -> (u64, u64)) -> End {
        let (version, number) = place(self.now());
        let head = PushHeader { version, number, ..self.head(0, 24) };
        self.push(vec![Part::Header(head), chunk(24)])
    }

    /// A message with this loss.
    pub(super) fn lossy(&self, loss: f64) -> End {
        let head = PushHeader { loss, ..self.head(self.now(), 24) };
        self.push(vec![Part::Header(head), chunk(24)])
    }

    fn whole(&self, step: u64, body: &[u8]) -> Vec<Part> {
        let header = Part::Header(self.head(step, body.len() as u64));
        vec![header, Part::Chunk(body.to_vec().into())]
    }

    /// A message of these bytes.
    pub(super) fn body(&self, body: &[u8]) -> End {
        self.push(self.whole(self.now(), body))
    }

    fn bytes(&self, row: &[f32]) -> Vec<u8> {
        Letter { d: row.len(), statistics: 0, codec: self.codec }.encode(row, &[])
    }

    /// This row.
    pub(super) fn row(&self, row: &[f32]) -> End {
        self.body(&self.bytes(row))
    }

    /// One row and then another, for one step; what becomes of the second.
    pub(super) fn twice(&self, first: &[f32], second: &[f32]) -> End {
        let step = self.now();
        let one = self.sends(self.whole(step, &self.bytes(first)), Some("5")).unwrap();
        let two = self.sends(self.whole(step, &self.bytes(second)), Some("5")).unwrap();
        if first == second {
            assert_eq!(one, two, "the same receipt");
        }
        self.end(Ok(two))
    }

    /// A row by somebody of this name.
    pub(super) fn named(&self, name: Option<&str>) -> End {
        self.end(self.sends(self.whole(self.now(), &self.bytes(&[0.0; D])), name))
    }

    /// Begins a message and leaves it at that.
    fn begun(&self, parts: Vec<Part>) -> tokio::task::JoinHandle<Result<Receipt, Status>> {
        let mut stub = self.stub.clone();
        let parts = parts.into_iter().map(|part| PushRequest { part: Some(part) });
        let parts = tokio_stream::iter(parts.collect::<Vec<_>>()).chain(tokio_stream::pending());
        let request = asks(parts, Some("5"));
        let call = async move { stub.push(request).await.map(tonic::Response::into_inner) };
        let call = self.runtime.spawn(call);
        std::thread::sleep(Duration::from_millis(60));
        call
    }

    /// A second message while the first is under way.
    pub(super) fn at_once(&self) -> End {
        let first = self.begun(vec![self.header(), chunk(10)]);
        let end = self.row(&[0.0; D]);
        first.abort();
        std::thread::sleep(Duration::from_millis(60));
        end
    }

    /// A message whose stream was reset, and then a row.
    pub(super) fn after_a_reset(&self) -> End {
        self.begun(vec![self.header(), chunk(10)]).abort();
        std::thread::sleep(Duration::from_millis(60));
        self.row(&[1.0; D])
    }

    /// A message of which nothing more comes.
    pub(super) fn stands_still(&self) -> End {
        let call = self.begun(vec![self.header(), chunk(10)]);
        self.end(self.runtime.block_on(call).unwrap())
    }

    /// Joins by these protocols and this name.
    pub(super) fn join(&self, protocols: Vec<u32>, agent: &str) -> End {
        let message = JoinRequest { protocols, agent: agent.to_owned() };
        let joined = self.runtime.block_on(self.stub.clone().join(asks(message, Some("5"))));
        joined.map_or_else(|status| End::Status(status.code()), |_| End::Else("joined".into()))
    }

    /// Asks for a version, for a third of a second.
    pub(super) fn pull(&self, run: u64, version: u64) -> End {
        let mut request = asks(PullRequest { run, version, ..PullRequest::default() }, Some("5"));
        request.set_timeout(Duration::from_millis(300));
        let pulled = self.runtime.block_on(self.stub.clone().pull(request));
        pulled.map_or_else(|status| End::Status(status.code()), |_| End::Else("a model".into()))
    }

    /// Watches a run.
    pub(super) fn watch(&self, run: u64) -> End {
        let request = asks(WatchRequest { run }, Some("5"));
        let watched = self.runtime.block_on(self.stub.clone().watch(request));
        watched.map_or_else(|status| End::Status(status.code()), |_| End::Else("notices".into()))
    }

    /// Leaves a run.
    pub(super) fn leave(&self, run: u64) -> End {
        let request = asks(LeaveRequest { run }, Some("5"));
        let left = self.runtime.block_on(self.stub.clone().leave(request));
        left.map_or_else(|status| End::Status(status.code()), |_| End::Else("left".into()))
    }
}

/// A request of whoever has this name.
fn asks<T>(message: T, name: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(name) = name {
        request.metadata_mut().insert("varangian-worker", name.parse().unwrap());
    }
    request
}
