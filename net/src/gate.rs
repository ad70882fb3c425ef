//! What a call may cost before it is understood: how many of them a worker has open at once, how
//! long a request may be, and how long it may take to come. And how many connections there are.

use crate::service::who;
use crate::shared::Shared;
use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::transport::server::{Connected, TcpConnectInfo};
use tonic::{Request, Status};

/// Bytes of a request other than a message: all of them are short.
const SHORT: usize = 8 << 10;
/// How long such a request may take to come.
const BREATH: Duration = Duration::from_secs(20);
/// Bytes before a message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The kinds of calls that are counted apart, and how many of each a worker has open at most: one
/// that was cut off may be there until its end is noticed.
const KINDS: [(&str, u8); 3] = [("Push", 2), ("Pull", 4), ("other", 8)];

/// By worker and kind, its open calls.
#[derive(Default)]
pub(crate) struct Calls(Mutex<Vec<[u8; 3]>>);

/// A call's place among its worker's, given back when it is dropped.
struct Place {
    shared: Arc<Shared>,
    worker: u32,
    kind: usize,
}

impl Place {
    fn take(shared: &Arc<Shared>, worker: u32, kind: usize) -> Result<Self, Status> {
        let mut all = shared.calls.0.lock().expect("no task panicked");
        all.resize(shared.terms.n, [0; 3]);
        let open = &mut all[worker as usize][kind];
        let (name, most) = KINDS[kind];
        if *open == most {
            let text = format!("worker {worker} has {most} {name} calls open, as many as it may");
            return Err(Status::resource_exhausted(text));
        }
        *open += 1;
        Ok(Place { shared: Arc::clone(shared), worker, kind })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.shared.calls.0.lock().expect("no task panicked");
        all[self.worker as usize][self.kind] -= 1;
    }
}

/// A service behind the gate.
#[derive(Clone)]
pub(crate) struct Gate<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Gate<S> {
    pub(crate) fn before(inner: S, shared: &Arc<Shared>) -> Self {
        Gate { inner, shared: Arc::clone(shared) }
    }

    /// A place for the call, and the call with its body bounded.
    fn admit(&self, request: http::Request<Body>) -> Result<(Place, http::Request<Body>), Status> {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default();
        let kind = KINDS.iter().position(|(name, _)| *name == method).unwrap_or(KINDS.len() - 1);
        let headers = MetadataMap::from_headers(request.headers().clone());
        let asks = Request::from_parts(headers, request.extensions().clone(), ());
        let place = Place::take(&self.shared, who(&self.shared, &asks)?, kind)?;
        let is_message = KINDS[kind].0 == "Push";
        let bounded = |body| if is_message { body } else { Body::new(Bounded::new(body)) };
        Ok((place, request.map(bounded)))
    }
}

impl<S: NamedService> NamedService for Gate<S> {
    const NAME: &'static str = S::NAME;
}

type Answer = Result<http::Response<Body>, Infallible>;

impl<S> tower_service::Service<http::Request<Body>> for Gate<S>
where
    S: tower_service::Service<
            http::Request<Body>,
            Response = http::Response<Body>,
            Error = Infallible,
        > + Send,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match self.admit(request) {
            Ok((place, request)) => {
                let answer = self.inner.call(request);
                Box::pin(async move {
                    let hold = |body| Body::new(Held { body, _place: place });
                    answer.await.map(|response| response.map(hold))
                })
            }
            Err(status) => Box::pin(async move { Ok(status.into_http()) }),
        }
    }
}

/// An answer that holds its call's place until its last byte is out.
struct Held {
    body: Body,
    _place: Place,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request that is short, says so in its first bytes, and comes soon.
struct Bounded {
    body: Body,
    end: Pin<Box<Sleep>>,
    prefix: Vec<u8>,
    taken: usize,
}

impl Bounded {
    fn new(body: Body) -> Self {
        let end = Box::pin(tokio::time::sleep(BREATH));
        Bounded { body, end, prefix: Vec::with_capacity(PREFIX), taken: 0 }
    }

    /// Whether a request with these further bytes is still a short one.
    fn take(&mut self, bytes: &Bytes) -> Result<(), Status> {
        self.taken += bytes.remaining();
        let missing = PREFIX - self.prefix.len();
        self.prefix.extend(bytes.iter().take(missing));
        let said = match self.prefix[..] {
            [_, a, b, c, d] => u32::from_be_bytes([a, b, c, d]) as usize,
            _ => 0,
        };
        let found = said.max(self.taken.saturating_sub(PREFIX));
        if found > SHORT {
            let text = format!("a request has at most {SHORT} bytes; found {found}");
            return Err(Status::out_of_range(text));
        }
        Ok(())
    }
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending => {
                return self.end.as_mut().poll(context).map(|()| {
                    let text = "the request did not come whole within 20 seconds";
                    Some(Err(Status::deadline_exceeded(text)))
                });
            }
            Poll::Ready(frame) => frame,
        };
        let fits = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(Ok(()), |bytes| self.take(bytes)),
            _ => Ok(()),
        };
        Poll::Ready(match fits {
            Ok(()) => frame,
            Err(status) => Some(Err(status)),
        })
    }
}

/// How many connections there may be at once.
#[derive(Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Places {
    pub(crate) fn of(most: usize) -> Self {
        Places(Arc::new(Semaphore::new(most)))
    }

    /// The connection with its place; it is closed where there is none left.
    pub(crate) fn admit(&self, stream: io::Result<TcpStream>) -> Option<io::Result<Admitted>> {
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => return Some(Err(error)),
        };
        match Arc::clone(&self.0).try_acquire_owned() {
            Ok(place) => Some(Ok(Admitted { stream, _place: place })),
            Err(_) => {
                tracing::warn!(from = ?stream.peer_addr().ok(), "one connection too many");
                None
            }
        }
    }
}

/// A connection that has a place.
pub(crate) struct Admitted {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl Connected for Admitted {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Admitted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
