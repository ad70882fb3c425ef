//! The five calls of a worker: who it is, what it gets, and how its message comes in.

mod push;

use crate::proto::parameter_server_server::ParameterServer;
use crate::proto::pull_reply::Part;
use crate::proto::{
    self, JoinReply, JoinRequest, LeaveReply, LeaveRequest, Notice, PullHeader, PullReply,
    PullRequest, PushRequest, Receipt, WatchRequest,
};
use crate::shared::{Event, News, Shared};
use crate::terms::CHUNK;
use crate::{authority, points};
use bytes::Bytes;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt, iter};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Response, Status, Streaming};
use tracing::{Instrument, field};

/// How long a worker's question for news may stay open.
const PATIENCE: Duration = Duration::from_secs(20);
/// The metadata entry that names a worker where there is no certificate.
pub(crate) const WORKER: &str = "varangian-worker";

/// The service behind the socket.
pub(crate) struct Service {
    pub(crate) shared: Arc<Shared>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The worker that asks: by its certificate, or without TLS by what it says.
pub(crate) fn who<T>(shared: &Shared, request: &Request<T>) -> Result<u32, Status> {
    let worker = if shared.insecure {
        let named = request.metadata().get(WORKER).and_then(|name| name.to_str().ok());
        let id = named.and_then(|name| name.parse().ok());
        let id = id.filter(|&id: &u32| (id as usize) < shared.terms.n);
        id.ok_or_else(|| {
            let most = shared.terms.n - 1;
            let text = format!("the metadata entry {WORKER} names a worker, 0 to {most}");
            Status::unauthenticated(text)
        })?
    } else {
        let info = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
        let chain = info.and_then(TlsConnectInfo::peer_certs);
        let first = chain.as_ref().and_then(|chain| chain.first());
        let Some(certificate) = first else {
            return Err(Status::unauthenticated("no certificate came"));
        };
        let fingerprint = authority::fingerprint_of(certificate)
            .map_err(|error| Status::unauthenticated(error.to_string()))?;
        let roll = shared.roll.read().expect("no task panicked");
        let member = roll.by_fingerprint(&fingerprint).map(|member| member.id);
        member.ok_or_else(|| {
            tracing::warn!(fingerprint, "a certificate that is not on the roll");
            Status::permission_denied(format!("{fingerprint} is not enrolled here"))
        })?
    };
    #[cfg(feature = "sim")]
    if crate::sim::plants(crate::sim::Bug::NoEnrolment) {
        return Ok(worker);
    }
    if shared.is_revoked(worker) {
        return Err(Status::permission_denied(format!("worker {worker} is revoked")));
    }
    Ok(worker)
}

impl Service {
    fn who<T>(&self, request: &Request<T>) -> Result<u32, Status> {
        who(&self.shared, request)
    }

    fn of_this_run(&self, run: u64) -> Result<(), Status> {
        if run == self.shared.run {
            return Ok(());
        }
        let text = "the server was started anew since this worker joined: join again";
        Err(Status::failed_precondition(text))
    }
}

/// The address at the other end, for the log.
fn from<T>(request: &Request<T>) -> Option<SocketAddr> {
    let tls = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
    let tcp = request.extensions().get::<TcpConnectInfo>();
    tls.map(TlsConnectInfo::get_ref).or(tcp).and_then(TcpConnectInfo::remote_addr)
}

/// Tells the machine that a worker is gone, when its watch ends however it ends.
struct Watching {
    shared: Arc<Shared>,
    worker: u32,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.shared.tell(Event::Unwatched(self.worker));
    }
}

#[tonic::async_trait]
impl ParameterServer for Service {
    type PullStream = Answers<PullReply>;
    type WatchStream = Answers<Notice>;

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinReply>, Status> {
        let worker = self.who(&request)?;
        let address = from(&request);
        let JoinRequest { protocols, agent } = request.into_inner();
        if !protocols.contains(&1) {
            // No more of what a stranger says than it helps.
            let said = &protocols[..protocols.len().min(8)];
            let text = format!("this server speaks protocol 1; the worker {said:?}");
            return Err(Status::failed_precondition(text));
        }
        let agent: String = agent.chars().filter(|c| !c.is_control()).take(100).collect();
        let address = address.map(tracing::field::display);
        tracing::info!(worker, address, agent, "joined");
        let Shared { terms, run, signer, .. } = &*self.shared;
        self.shared.tell(Event::Joined(worker));
        let next = self.shared.next.lock().expect("no task panicked")[worker as usize];
        points::task_passes("joined").await;
        Ok(Response::new(JoinReply { next, ..terms.reply(*run, worker, signer.key()) }))
    }

    async fn pull(
        &self,
        request: Request<PullRequest>,
    ) -> Result<Response<Self::PullStream>, Status> {
        let worker = self.who(&request)?;
        let asked = request.into_inner();
        self.of_this_run(asked.run)?;
        points::task_passes("pull asked").await;
        let mut news = self.shared.news.subscribe();
        let is_news =
            |news: &Arc<News>| news.finished || news.open && news.version >= asked.version;
        let found = tokio::time::timeout(PATIENCE, news.wait_for(is_news)).await;
        let run = self.shared.run;
        let fresh = match found {
            Ok(Ok(fresh)) => Arc::clone(&fresh),
            Ok(Err(_)) => return Err(Status::unavailable("the server is going down")),
            Err(_) => {
                let header = PullHeader { run, not_modified: true, ..PullHeader::default() };
                return Ok(Response::new(alone(header)));
            }
        };
        let mut header = PullHeader {
            run,
            version: fresh.version,
            learning_rate: fresh.rate,
            finished: fresh.finished,
            ..PullHeader::default()
        };
        if fresh.finished {
            self.shared.told.lock().expect("no task panicked").push(worker);
            return Ok(Response::new(alone(header)));
        }
        // Who follows by signs is told of each step, that it may be asked in the next one.
        header.not_sampled = !fresh.invites(worker);
        let follows = asked.update && fresh.version == asked.version;
        let body = match (&fresh.change, follows) {
            (Some(change), true) => {
                header.step_rate = change.rate;
                header.keep = change.keep;
                header.parameters_digest = change.digest.to_vec().into();
                let ternary = proto::Codec::TernarySigns;
                header.body = if change.ternary { ternary } else { proto::Codec::Signs }.into();
                Body::Signs(change.signs.clone())
            }
            _ if header.not_sampled => return Ok(Response::new(alone(header))),
            _ => {
                header.body = proto::Codec::F32.into();
                Body::Whole(Lease::of(&fresh, asked.previous))
            }
        };
        header.bytes = body.len() as u64;
        self.shared.count_out(body.len());
        let chunks = body.chunks().map(|chunk| chunk.map(Part::Chunk));
        let parts = std::iter::once(Ok(Part::Header(header))).chain(chunks);
        let parts = parts.map(|part| part.map(|part| PullReply { part: Some(part) }));
        Ok(Response::new(Box::pin(iter(parts))))
    }

    async fn push(
        &self,
        request: Request<Streaming<PushRequest>>,
    ) -> Result<Response<Receipt>, Status> {
        let worker = self.who(&request)?;
        let round = self.shared.span.read().expect("no task panicked").clone();
        let empty = field::Empty;
        let id = i64::from(worker);
        let span = tracing::info_span!(
            parent: &round, "message", worker = id, bytes = empty, admitted = empty, reason = empty
        );
        let taken = push::take(&self.shared, worker, request.into_inner());
        let receipt = taken.instrument(span.clone()).await?;
        span.record("admitted", receipt.admitted).record("reason", &*receipt.reason);
        Ok(Response::new(self.shared.signer.sign(receipt)))
    }

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let worker = self.who(&request)?;
        self.of_this_run(request.into_inner().run)?;
        let guard = Watching { shared: Arc::clone(&self.shared), worker };
        self.shared.tell(Event::Watching(worker));
        let notices = BroadcastStream::new(self.shared.notices.subscribe());
        // Who reads too slowly misses notices, and no memory is spent on it.
        let notices = notices.filter_map(move |notice| {
            let _here = &guard;
            notice.ok().map(Ok)
        });
        Ok(Response::new(Box::pin(notices)))
    }

    async fn leave(&self, request: Request<LeaveRequest>) -> Result<Response<LeaveReply>, Status> {
        let worker = self.who(&request)?;
        self.of_this_run(request.into_inner().run)?;
        self.shared.tell(Event::Left(worker));
        Ok(Response::new(LeaveReply {}))
    }
}

/// A header with nothing after it.
fn alone(header: PullHeader) -> Answers<PullReply> {
    Box::pin(iter([Ok(PullReply { part: Some(Part::Header(header)) })]))
}

/// What follows a header, made chunk by chunk as it is sent.
enum Body {
    Signs(Bytes),
    /// The parameters, and the last aggregate if it was asked for.
    Whole(Lease),
}

impl Body {
    fn len(&self) -> usize {
        match self {
            Body::Signs(signs) => signs.len(),
            Body::Whole(lease) => lease.bytes,
        }
    }

    fn chunks(self) -> Box<dyn Iterator<Item = Result<Bytes, Status>> + Send> {
        match self {
            Body::Signs(signs) => {
                let starts = (0..signs.len()).step_by(CHUNK);
                Box::new(
                    starts.map(move |from| Ok(signs.slice(from..(from + CHUNK).min(signs.len())))),
                )
            }
            Body::Whole(lease) => Box::new((0..lease.chunks()).map(move |k| lease.chunk(k))),
        }
    }
}

/// A version of the model on its way to a worker, for as long as an honest one may take: who stands
/// still keeps no old version in memory.
struct Lease {
    news: Arc<Mutex<Option<Arc<News>>>>,
    /// Parameters of the model.
    d: usize,
    bytes: usize,
    end: JoinHandle<()>,
}

impl Lease {
    fn of(news: &Arc<News>, previous: bool) -> Self {
        let d = news.params.len();
        let bytes = 4 * d * if previous { 2 } else { 1 };
        let news = Arc::new(Mutex::new(Some(Arc::clone(news))));
        let (held, time) = (Arc::clone(&news), push::longest(bytes));
        let end = tokio::spawn(async move {
            tokio::time::sleep(time).await;
            held.lock().expect("no task panicked").take();
        });
        Lease { news, d, bytes, end }
    }

    /// Chunks of each vector.
    fn each(&self) -> usize {
        (4 * self.d).div_ceil(CHUNK)
    }

    fn chunks(&self) -> usize {
        self.bytes / (4 * self.d).max(1) * self.each()
    }

    /// The `k`-th chunk: little-endian parameters, then those of the last aggregate.
    fn chunk(&self, k: usize) -> Result<Bytes, Status> {
        let news = self.news.lock().expect("no task panicked").clone();
        let Some(news) = news else {
            let (bytes, seconds) = (self.bytes, push::longest(self.bytes).as_secs());
            let text = format!("{bytes} bytes take at most {seconds} seconds");
            return Err(Status::deadline_exceeded(text));
        };
        let (each, step) = (self.each(), CHUNK / 4);
        let vector = if k < each { &news.params } else { &news.previous };
        let from = k % each * step;
        let part = &vector[from..(from + step).min(vector.len())];
        Ok(part.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>().into())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_stands_still_keeps_no_old_version() {
        let params = Arc::new(vec![1.0f32; CHUNK / 4 + 1]);
        let news = Arc::new(News { params: Arc::clone(&params), ..News::nothing() });
        let lease = Lease::of(&news, false);
        drop(news);
        assert_eq!((lease.chunks(), lease.bytes), (2, 4 * params.len()));
        assert_eq!(lease.chunk(1).unwrap()[..], 1.0f32.to_le_bytes());
        tokio::time::sleep(push::longest(lease.bytes) + Duration::from_secs(1)).await;
        let status = lease.chunk(1).unwrap_err();
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        assert_eq!(Arc::strong_count(&params), 1, "nobody else has it any more");
        // An empty model and one with its last aggregate.
        assert_eq!(Lease::of(&Arc::new(News::nothing()), true).chunks(), 0);
        let both = News { previous: Arc::clone(&params), params, ..News::nothing() };
        assert_eq!(Lease::of(&Arc::new(both), true).chunks(), 4);
    }
}
