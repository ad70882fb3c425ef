//! The sockets: who may knock where, with which certificate, and the tasks that listen.

use crate::Trouble;
use crate::admin::Desk as AdminDesk;
use crate::audit::Audit;
use crate::gate::{Calls, Gate, Places};
use crate::proto::admin_server::AdminServer;
use crate::proto::parameter_server_server::ParameterServerServer;
use crate::receipts::{Signer, random};
use crate::roll::{Roll, RollFile};
use crate::service::Service;
use crate::shared::{Event, News, Shared};
use crate::terms::{CHUNK, Terms};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{Semaphore, broadcast, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::server::{Router, TcpIncoming};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::health_reporter;

/// Windows of a stream and of a connection: enough for a chunk's time across a continent.
const STREAM: u32 = 8 << 20;
const CONNECTION: u32 = 16 << 20;
/// Connections beside eight for each worker.
const SPARE: usize = 256;

/// The files of mutual TLS.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The authority that signed the other side's certificate.
    pub ca: PathBuf,
    /// One's own certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Keys {
    pub(crate) fn read(&self) -> Result<(Certificate, Identity), Trouble> {
        let read = |path: &Path| {
            std::fs::read(path)
                .map_err(|error| Trouble(format!("cannot read {}: {error}", path.display())))
        };
        let identity = Identity::from_pem(read(&self.certificate)?, read(&self.key)?);
        Ok((Certificate::from_pem(read(&self.ca)?), identity))
    }
}

/// Where a server listens, and what it lets in.
#[derive(Clone, Debug)]
pub struct Doors {
    /// Where workers come.
    pub listen: SocketAddr,
    /// The server's certificate, and the authority of the workers'; without, loopback alone.
    pub keys: Option<Keys>,
    /// The list of who is enrolled: needed where there are certificates.
    pub roll: Option<PathBuf>,
    /// The most workers of one organisation.
    pub per_organisation: Option<usize>,
    /// The Unix socket of whoever runs the server.
    pub admin: Option<PathBuf>,
    /// Seconds that a round stays open.
    pub deadline: f64,
    /// Seconds that the first round waits for all; from then on enough are enough.
    pub patience: f64,
    /// In asynchronous training, the most steps between a message's model and the newest.
    pub staleness: u64,
    /// Asynchronous: messages a second and worker; 0 for as many as come.
    pub rate: f64,
    /// Bytes of messages under way, of all workers together; one message always has room.
    pub memory: usize,
    /// Where what was sent, said and made of it is logged, if anywhere.
    pub audit: Option<Audit>,
}

impl Doors {
    /// Doors on loopback without TLS, on a port that is free.
    pub fn loopback() -> Self {
        Doors {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            keys: None,
            roll: None,
            per_organisation: None,
            admin: None,
            deadline: 60.0,
            patience: 60.0,
            staleness: u64::MAX,
            rate: 0.0,
            memory: 1 << 30,
            audit: None,
        }
    }

    fn check(&self) -> Result<(), Trouble> {
        if self.keys.is_none() && !self.listen.ip().is_loopback() {
            return Err(Trouble(format!(
                "without certificates the server listens on loopback alone; found {}. Make them \
                 with `varangian ca init`",
                self.listen
            )));
        }
        if self.keys.is_some() && self.roll.is_none() {
            return Err(Trouble::new("with certificates there is a list of who is enrolled"));
        }
        for (name, value) in [("deadline", self.deadline), ("patience", self.patience)] {
            if !(value > 0.0 && value <= 1e9) {
                return Err(Trouble(format!(
                    "{name} is a number of seconds above 0, at most 1e9; found {value}"
                )));
            }
        }
        if !(self.rate >= 0.0 && self.rate.is_finite()) {
            let found = self.rate;
            return Err(Trouble(format!("rate is messages a second, 0 or above; found {found}")));
        }
        Ok(())
    }
}

/// The open sockets; they close when it is dropped.
pub struct Hub {
    address: SocketAddr,
    patience: f64,
    admin: Option<PathBuf>,
    /// Dropped last of all, with every task.
    runtime: Option<tokio::runtime::Runtime>,
}

/// What the machine has of the sockets.
pub(crate) struct Hall {
    pub(crate) shared: Arc<Shared>,
    pub(crate) events: UnboundedReceiver<Event>,
    /// Where their tasks run.
    pub(crate) sockets: Handle,
}

impl Hall {
    /// Closed doors.
    fn new(doors: &Doors, terms: Terms, sockets: Handle) -> Result<Self, Trouble> {
        doors.check()?;
        let roll = match &doors.roll {
            Some(path) => Roll::read_capped(path, terms.n, doors.per_organisation)?,
            None => Roll::insecure(terms.n),
        };
        let n = terms.n;
        let (sender, events) = unbounded_channel();
        let most = terms.letter.most();
        let memory = Shared::units(doors.memory.max(most)).max(1) as usize;
        let shared = Arc::new(Shared {
            run: random()?,
            signer: Signer::new()?,
            news: watch::channel(Arc::new(News::nothing())).0,
            notices: broadcast::channel(64).0,
            events: sender,
            roll: RwLock::new(roll),
            revoked: Mutex::default(),
            insecure: doors.keys.is_none(),
            staleness: doors.staleness,
            budget: Arc::new(Semaphore::new(memory.min(Semaphore::MAX_PERMITS))),
            told: Mutex::default(),
            span: RwLock::new(tracing::Span::none()),
            next: Mutex::new(vec![0; terms.n]),
            calls: Calls::default(),
            pushing: Mutex::new(vec![false; n]),
            bytes_in: 0.into(),
            bytes_out: 0.into(),
            terms,
        });
        Ok(Hall { shared, events, sockets })
    }
}

impl Hub {
    /// Opens the doors of a run.
    pub(crate) fn open(doors: &Doors, terms: Terms) -> Result<(Self, Hall), Trouble> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("sockets")
            .enable_all()
            .build()
            .map_err(|error| Trouble(format!("cannot start threads: {error}")))?;
        let hall = Hall::new(doors, terms, runtime.handle().clone())?;
        let shared = &hall.shared;
        let address = runtime.block_on(listen(doors, shared))?;
        if let Some(path) = &doors.admin {
            runtime.block_on(async { open_admin(path, shared) })?;
        }
        if let Some(path) = doors.roll.clone() {
            runtime.spawn(follow_roll(path, doors.per_organisation, Arc::clone(shared)));
        }
        let (patience, admin) = (doors.patience, doors.admin.clone());
        Ok((Hub { address, patience, admin, runtime: Some(runtime) }, hall))
    }

    /// Opens the doors of a run whose connections a simulation brings.
    #[cfg(feature = "sim")]
    pub(crate) fn simulated(
        doors: &Doors,
        terms: Terms,
        serve: crate::sim::Serve,
    ) -> Result<(Self, Hall), Trouble> {
        let hall = Hall::new(doors, terms, Handle::current())?;
        serve(service(doors, &hall.shared)?);
        let (address, patience) = (doors.listen, doors.patience);
        Ok((Hub { address, patience, admin: None, runtime: None }, hall))
    }

    /// The address that workers reach.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn patience(&self) -> f64 {
        self.patience
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Some(path) = &self.admin {
            // That it is gone already is as good.
            let _ = std::fs::remove_file(path);
        }
        if let Some(runtime) = self.runtime.take() {
            // Workers get what is on its way to them, the end of the run above all.
            runtime.shutdown_timeout(Duration::from_millis(500));
        }
    }
}

/// Listens for workers.
async fn listen(doors: &Doors, shared: &Arc<Shared>) -> Result<SocketAddr, Trouble> {
    let failed = |error| Trouble(format!("cannot listen on {}: {error}", doors.listen));
    let listener = TcpListener::bind(doors.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let server = service(doors, shared)?;
    let places = Places::of(SPARE + 8 * shared.terms.n);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let incoming = incoming.filter_map(move |stream| places.admit(stream));
    tokio::spawn(async move {
        if let Err(error) = server.serve_with_incoming(incoming).await {
            tracing::error!("the listener ended: {error}");
        }
    });
    Ok(address)
}

/// The service with its limits.
fn service(doors: &Doors, shared: &Arc<Shared>) -> Result<Router, Trouble> {
    let mut server = Server::builder()
        .initial_stream_window_size(STREAM)
        .initial_connection_window_size(CONNECTION)
        .max_concurrent_streams(16)
        .concurrency_limit_per_connection(16)
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_header_list_size(16 << 10)
        .http2_max_pending_accept_reset_streams(Some(64))
        .tcp_nodelay(true);
    if let Some(keys) = &doors.keys {
        let (ca, identity) = keys.read()?;
        let tls = ServerTlsConfig::new()
            .identity(identity)
            .client_ca_root(ca)
            .timeout(Duration::from_secs(10));
        server = server.tls_config(tls).map_err(|error| Trouble(why(&error)))?;
    }
    let service = ParameterServerServer::new(Service { shared: Arc::clone(shared) })
        // The largest message is a chunk with its few bytes of frame.
        .max_decoding_message_size(CHUNK + 4096)
        .max_encoding_message_size(CHUNK + (4 << 20));
    Ok(server.add_service(Gate::before(service, shared)).add_service(health(shared)))
}

/// `grpc.health.v1`: serving from the beginning until the run is over.
fn health(shared: &Arc<Shared>) -> HealthServer<impl Health> {
    let (reporter, service) = health_reporter();
    let mut news = shared.news.subscribe();
    tokio::spawn(async move {
        reporter.set_serving::<ParameterServerServer<Service>>().await;
        // The server's end is that of its news.
        let _ = news.wait_for(|news| news.finished).await;
        reporter.set_not_serving::<ParameterServerServer<Service>>().await;
        reporter.set_service_status("", ServingStatus::NotServing).await;
    });
    service
}

/// An error and what it came from, as one sentence.
pub(crate) fn why(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = inner.source();
    }
    text
}

/// Opens the socket of whoever runs the server; only this user can reach it.
fn open_admin(path: &Path, shared: &Arc<Shared>) -> Result<(), Trouble> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let failed = |error| Trouble(format!("cannot open the socket {}: {error}", path.display()));
    if let Ok(there) = std::fs::symlink_metadata(path) {
        let is_socket = there.file_type().is_socket();
        if !is_socket || std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(Trouble(format!("{} is there already and in use", path.display())));
        }
        // One that a server left when it was killed.
        std::fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let service = AdminServer::new(AdminDesk { shared: Arc::clone(shared) });
    let server = Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
    Ok(())
}

/// Reads the roll again whenever it changes: who is off it is refused from then on.
async fn follow_roll(path: PathBuf, cap: Option<usize>, shared: Arc<Shared>) {
    let mut file = RollFile::new(&path, shared.terms.n, cap);
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        match file.changed() {
            Some(Ok(roll)) => {
                let workers = roll.members().len();
                tracing::info!(workers, "the roll was read again");
                let gone: Vec<u32> = {
                    let old = shared.roll.read().expect("no task panicked");
                    let gone = old
                        .members()
                        .iter()
                        .filter(|member| roll.by_fingerprint(&member.fingerprint).is_none());
                    gone.map(|member| member.id).collect()
                };
                *shared.roll.write().expect("no task panicked") = roll;
                gone.into_iter().for_each(|worker| shared.tell(Event::Left(worker)));
            }
            Some(Err(error)) => tracing::error!("the roll stays as it was: {error}"),
            None => {}
        }
    }
}
