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
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt, iter};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Response, Status, Streaming};

/// How long a worker's question for news may stay open.
const PATIENCE: Duration = Duration::from_secs(20);
/// The metadata entry that names a worker where there is no certificate.
pub(crate) const WORKER: &str = "varangian-worker";

/// The service behind the socket.
pub(crate) struct Service {
    pub(crate) shared: Arc<Shared>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    /// The worker that asks: by its certificate, or without TLS by what it says.
    fn who<T>(&self, request: &Request<T>) -> Result<u32, Status> {
        let shared = &self.shared;
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
                Body::Whole(Arc::clone(&fresh), asked.previous)
            }
        };
        header.bytes = body.len() as u64;
        self.shared.count_out(body.len());
        let parts = std::iter::once(Part::Header(header)).chain(body.chunks().map(Part::Chunk));
        let parts = parts.map(|part| Ok(PullReply { part: Some(part) }));
        Ok(Response::new(Box::pin(iter(parts))))
    }

    async fn push(
        &self,
        request: Request<Streaming<PushRequest>>,
    ) -> Result<Response<Receipt>, Status> {
        let worker = self.who(&request)?;
        let receipt = push::take(&self.shared, worker, request.into_inner()).await?;
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
    Whole(Arc<News>, bool),
}

impl Body {
    fn len(&self) -> usize {
        match self {
            Body::Signs(signs) => signs.len(),
            Body::Whole(news, previous) => 4 * news.params.len() * if *previous { 2 } else { 1 },
        }
    }

    fn chunks(self) -> Box<dyn Iterator<Item = Bytes> + Send> {
        match self {
            Body::Signs(signs) => {
                let starts = (0..signs.len()).step_by(CHUNK);
                Box::new(starts.map(move |from| signs.slice(from..(from + CHUNK).min(signs.len()))))
            }
            Body::Whole(news, previous) => {
                let params = cut(Arc::clone(&news.params));
                let after = previous.then(|| cut(Arc::clone(&news.previous)));
                Box::new(params.chain(after.into_iter().flatten()))
            }
        }
    }
}

/// A vector as chunks of little-endian bytes.
fn cut(vector: Arc<Vec<f32>>) -> impl Iterator<Item = Bytes> + Send {
    let step = CHUNK / 4;
    (0..vector.len()).step_by(step).map(move |from| {
        let part = &vector[from..(from + step).min(vector.len())];
        part.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>().into()
    })
}
