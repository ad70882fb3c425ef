//! A worker's side of the sockets: blocking calls over one connection that is made anew as needed.

mod probe;

use crate::hub::{Keys, why};
use crate::proto::parameter_server_client::ParameterServerClient;
use crate::proto::{
    self, JoinRequest, LeaveRequest, PullHeader, PullRequest, PushHeader, PushRequest, Receipt,
    WatchRequest, pull_reply, push_request,
};
use crate::service::WORKER;
use crate::terms::{CHUNK, Terms};
use crate::work::AGENT;
use crate::{Trouble, clock};
use bytes::Bytes;
use std::time::Duration;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

/// Between two tries to reach a server.
const AGAIN: Duration = Duration::from_millis(200);

/// How a worker reaches its server.
#[derive(Clone, Debug)]
pub struct Connection {
    /// `host:port`.
    pub address: String,
    /// The worker's certificate and the server's authority; without, loopback alone.
    pub keys: Option<Keys>,
    /// The name in the server's certificate, where it is not the host of the address.
    pub server_name: Option<String>,
    /// The worker's number, where no certificate says it.
    pub worker: Option<u32>,
}

/// Why a call failed.
#[derive(Clone, Debug)]
pub enum Failed {
    /// The connection, or the server started anew: join again.
    Again(String),
    /// Nothing that another try mends.
    Final(Trouble),
}

impl From<Status> for Failed {
    fn from(status: Status) -> Self {
        let message = status.message();
        let text = match std::error::Error::source(&status).map(why) {
            // What it came from says it again, and more.
            Some(whole) if whole.contains(message) => whole,
            Some(whole) => format!("{message}: {whole}"),
            None => message.to_owned(),
        };
        let text = text.strip_prefix("transport error: ").unwrap_or(&text).to_owned();
        // No other try helps where one side does not take the other's certificate. A connection
        // that broke says nothing of the kind, with TLS as without.
        let refused = ["invalid peer certificate", "received fatal alert"];
        match status.code() {
            _ if refused.iter().any(|word| text.contains(word)) => Failed::Final(Trouble(text)),
            Code::PermissionDenied
            | Code::Unauthenticated
            | Code::InvalidArgument
            | Code::Unimplemented
            | Code::OutOfRange => Failed::Final(Trouble(text)),
            _ => Failed::Again(text),
        }
    }
}

/// What a worker was told when it joined.
#[derive(Clone, Debug)]
pub struct Joined {
    /// This start of the server.
    pub run: u64,
    /// The worker's number.
    pub worker: u32,
    /// The run.
    pub terms: Terms,
    /// The key that signs receipts.
    pub receipt_key: Vec<u8>,
    /// The first step, or in asynchronous training the first number, that the worker has not
    /// answered since this start of the server.
    pub next: u64,
}

/// What the server has for a worker.
pub enum News {
    /// Nothing yet.
    NotModified,
    /// The run is over.
    Finished,
    /// The model of a version, whole: parameters, and the last aggregate where it was asked for.
    Whole(PullHeader, Vec<f32>),
    /// Signs that lead from the version before to this one, or nothing where the worker takes no
    /// part in this step and follows no signs.
    Signs(PullHeader, Vec<u8>),
    /// The worker takes no part in this step.
    NotSampled(PullHeader),
}

/// A connection to a server.
pub struct Client {
    connection: Connection,
    sockets: tokio::runtime::Handle,
    stub: ParameterServerClient<Channel>,
    joined: Option<Joined>,
    watching: Option<tokio::task::JoinHandle<()>>,
    /// The threads behind `sockets`, which end with the client.
    _runtime: Option<tokio::runtime::Runtime>,
}

impl Client {
    /// A client that connects at its first call.
    ///
    /// # Errors
    /// If a file cannot be read, or an address off loopback comes without certificates.
    pub fn new(connection: Connection) -> Result<Self, Trouble> {
        let endpoint = endpoint(&connection)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("socket")
            .enable_all()
            .build()
            .map_err(|error| Trouble(format!("cannot start a thread: {error}")))?;
        let channel = {
            let _inside = runtime.enter();
            endpoint.connect_lazy()
        };
        let sockets = runtime.handle().clone();
        Ok(Client { _runtime: Some(runtime), ..Client::over(connection, channel, sockets) })
    }

    /// A client whose connections a simulation makes.
    ///
    /// # Errors
    /// If a file cannot be read, or an address off loopback comes without certificates.
    #[cfg(feature = "sim")]
    pub fn simulated(
        connection: Connection,
        connect: impl FnOnce(Endpoint) -> Channel,
    ) -> Result<Self, Trouble> {
        let channel = connect(endpoint(&connection)?);
        Ok(Client::over(connection, channel, tokio::runtime::Handle::current()))
    }

    fn over(connection: Connection, channel: Channel, sockets: tokio::runtime::Handle) -> Self {
        let stub = ParameterServerClient::new(channel)
            .max_decoding_message_size(CHUNK + (4 << 20))
            .max_encoding_message_size(CHUNK + 4096);
        Client { connection, sockets, stub, joined: None, watching: None, _runtime: None }
    }

    /// What the worker was told when it joined last.
    pub fn joined(&self) -> Option<&Joined> {
        self.joined.as_ref()
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let (Some(worker), None) = (self.connection.worker, &self.connection.keys) {
            request.metadata_mut().insert(WORKER, MetadataValue::from(worker));
        }
        request
    }

    fn run(&self) -> u64 {
        self.joined.as_ref().map_or(0, |joined| joined.run)
    }

    /// Joins the run, and keeps saying that the worker is here.
    ///
    /// # Errors
    /// If nobody answers, or the server does not take this worker.
    pub fn join(&mut self, agent: &str) -> Result<Joined, Failed> {
        let message = JoinRequest { protocols: vec![1], agent: agent.to_owned() };
        let request = timed(self.request(message), 20);
        let mut stub = self.stub.clone();
        let reply = match clock::wait(&self.sockets, stub.join(request)) {
            Ok(reply) => reply.into_inner(),
            Err(status) => return Err(self.explained(status.into())),
        };
        let terms = Terms::read(&reply).map_err(Failed::Final)?;
        let (run, worker) = (reply.run, reply.worker);
        let joined = Joined {
            run,
            worker,
            terms,
            receipt_key: reply.receipt_key.to_vec(),
            next: reply.next,
        };
        self.joined = Some(joined.clone());
        if let Some(old) = self.watching.take() {
            old.abort();
        }
        let request = self.request(WatchRequest { run });
        let mut stub = self.stub.clone();
        self.watching = Some(self.sockets.spawn(async move {
            // The stream's end is no news: the next call says what is wrong.
            if let Ok(stream) = stub.watch(request).await {
                let mut notices = stream.into_inner();
                while let Ok(Some(_)) = notices.message().await {}
            }
        }));
        Ok(joined)
    }

    /// Joins the run as soon as there is a server, within `patience` seconds; nothing where `stop`
    /// says so before. `waiting` is told why there is none yet.
    ///
    /// # Errors
    /// If nobody answers in time, or the server does not take this worker.
    pub fn join_within(
        &mut self,
        patience: f64,
        stop: &dyn Fn() -> bool,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<Option<Joined>, Trouble> {
        let begun = clock::now();
        loop {
            match self.join(AGENT) {
                Ok(joined) => return Ok(Some(joined)),
                Err(Failed::Final(trouble)) => return Err(trouble),
                Err(Failed::Again(text)) if clock::since(begun).as_secs_f64() > patience => {
                    let address = &self.connection.address;
                    let long = if patience == 1.0 { "second" } else { "seconds" };
                    return Err(Trouble(format!(
                        "no server at {address} for {patience} {long}: {text}"
                    )));
                }
                Err(Failed::Again(text)) => waiting(&text),
            }
            if stop() {
                return Ok(None);
            }
            clock::rest(AGAIN);
        }
    }

    /// A failure to join, with what TLS says of it where that is the cause.
    fn explained(&self, failed: Failed) -> Failed {
        let Connection { address, keys, server_name, .. } = &self.connection;
        match (&failed, keys) {
            #[cfg(feature = "sim")]
            _ if crate::sim::is_inside() => failed,
            (Failed::Again(_), Some(keys)) => {
                let refusal = probe::refusal(address, keys, server_name.as_deref());
                refusal.map_or(failed, |why| Failed::Final(Trouble(why)))
            }
            _ => failed,
        }
    }

    /// Asks for a version at least this; `update` where the worker holds the one before and
    /// follows by signs.
    ///
    /// # Errors
    /// If the connection broke, or what came is not what its header says.
    pub fn pull(&mut self, version: u64, previous: bool, update: bool) -> Result<News, Failed> {
        let run = self.run();
        let request = timed(self.request(PullRequest { run, version, previous, update }), 600);
        let d = self.joined.as_ref().map_or(0, |joined| joined.terms.letter.d);
        let mut stub = self.stub.clone();
        clock::wait(&self.sockets, async move {
            let mut stream = stub.pull(request).await?.into_inner();
            let first = stream.message().await?.and_then(|reply| reply.part);
            let Some(pull_reply::Part::Header(header)) = first else {
                return Err(Failed::Final(Trouble::new("the server's answer has no header")));
            };
            if header.not_modified || header.finished {
                return Ok(if header.finished { News::Finished } else { News::NotModified });
            }
            let whole = 4 * d as u64 * if previous { 2 } else { 1 };
            if header.bytes > whole {
                let (found, wanted) = (header.bytes, whole);
                let text = format!("a model takes {wanted} bytes; the server says {found}");
                return Err(Failed::Final(Trouble(text)));
            }
            let mut body = Vec::with_capacity(header.bytes as usize);
            while let Some(reply) = stream.message().await? {
                if let Some(pull_reply::Part::Chunk(chunk)) = reply.part {
                    if body.len() + chunk.len() > header.bytes as usize {
                        return Err(Failed::Again("more came than the header says".into()));
                    }
                    body.extend_from_slice(&chunk);
                }
            }
            if body.len() as u64 != header.bytes {
                return Err(Failed::Again("the server's answer was cut short".into()));
            }
            sorted(header, body, whole)
        })
    }

    /// Sends the message `number` for `version`, and returns what the server says of it.
    ///
    /// # Errors
    /// If the connection broke, or the server has no use for the message.
    pub fn push(
        &mut self,
        (version, number): (u64, u64),
        body: &Bytes,
        loss: f64,
    ) -> Result<Receipt, Failed> {
        #[cfg(feature = "sim")]
        crate::sim::sent((self.run(), version, number), body);
        let header = PushHeader {
            run: self.run(),
            version,
            number,
            bytes: body.len() as u64,
            digest: blake3::hash(body).as_bytes().to_vec().into(),
            loss,
        };
        let body = body.clone();
        let starts = (0..body.len()).step_by(CHUNK);
        let chunks = starts.map(move |from| body.slice(from..(from + CHUNK).min(body.len())));
        let parts = std::iter::once(push_request::Part::Header(header))
            .chain(chunks.map(push_request::Part::Chunk))
            .map(|part| PushRequest { part: Some(part) });
        let request = timed(self.request(tokio_stream::iter(parts)), 600);
        let mut stub = self.stub.clone();
        Ok(clock::wait(&self.sockets, stub.push(request))?.into_inner())
    }

    /// Says that no round need wait for this worker any more. That it does not arrive matters to
    /// nobody.
    pub fn leave(&mut self) {
        if self.joined.is_some() {
            let request = timed(self.request(LeaveRequest { run: self.run() }), 2);
            let mut stub = self.stub.clone();
            let _ = clock::wait(&self.sockets, stub.leave(request));
        }
    }
}

/// What came, by its header.
fn sorted(header: PullHeader, body: Vec<u8>, whole: u64) -> Result<News, Failed> {
    match header.body() {
        proto::Codec::Unspecified if header.not_sampled => Ok(News::NotSampled(header)),
        proto::Codec::F32 if body.len() as u64 == whole => {
            let floats = body.chunks_exact(4);
            let floats = floats.map(|x| f32::from_le_bytes(x.try_into().expect("four bytes")));
            let floats = floats.collect();
            Ok(News::Whole(header, floats))
        }
        proto::Codec::Signs | proto::Codec::TernarySigns => Ok(News::Signs(header, body)),
        other => {
            let (found, body) = (body.len(), other.as_str_name());
            let text = format!("a model is {whole} bytes of CODEC_F32; found {found} of {body}");
            Err(Failed::Final(Trouble(text)))
        }
    }
}

fn timed<T>(mut request: Request<T>, seconds: u64) -> Request<T> {
    request.set_timeout(Duration::from_secs(seconds));
    request
}

/// Whether a host is this machine, by its name.
fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn endpoint(connection: &Connection) -> Result<Endpoint, Trouble> {
    let address = &connection.address;
    let Some((host, _)) = address.rsplit_once(':') else {
        return Err(Trouble(format!("a server's address is host:port; found {address:?}")));
    };
    if connection.keys.is_none() && !is_local(host) {
        return Err(Trouble(format!(
            "without certificates a worker talks to loopback alone; found {address}. Give it \
             --tls, a folder with ca.pem and its own certificate and key"
        )));
    }
    let scheme = if connection.keys.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"));
    let mut endpoint = endpoint
        .map_err(|error| Trouble(format!("{address:?} is no address: {}", why(&error))))?
        .connect_timeout(Duration::from_secs(10))
        .initial_stream_window_size(Some(8 << 20))
        .initial_connection_window_size(Some(16 << 20))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    if let Some(keys) = &connection.keys {
        let (ca, identity) = keys.read()?;
        let mut tls = ClientTlsConfig::new().ca_certificate(ca).identity(identity);
        if let Some(name) = &connection.server_name {
            tls = tls.domain_name(name);
        }
        endpoint = endpoint.tls_config(tls).map_err(|error| Trouble(why(&error)))?;
    }
    Ok(endpoint)
}
