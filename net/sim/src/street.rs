//! Sockets over turmoil's streams, with the faults of a network that turmoil does not have: bytes
//! of a connection that are lost for good, and connections that are reset.

use crate::scenario::PORT;
use crate::stage::Stage;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_stream::Stream;
use tonic::transport::server::{Connected, Router, TcpConnectInfo};
use tonic::transport::{Channel, Endpoint};
use turmoil::net::{TcpListener, TcpStream};

/// What a network does to the bytes that somebody writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// They arrive.
    Well,
    /// They are lost, and all that comes after them on this connection.
    Lost,
    /// The connection breaks.
    Reset,
}

/// A connection between a worker and the server.
pub struct Line {
    stream: TcpStream,
    /// The worker at one of its ends.
    worker: u32,
    state: Carried,
}

impl Line {
    fn new(stream: TcpStream, worker: u32) -> Self {
        Line { stream, worker, state: Carried::Well }
    }
}

fn reset() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the simulated network reset it")
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.state == Carried::Reset {
            return Poll::Ready(Err(reset()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.state == Carried::Well {
            self.state = Stage::on_this_thread().carries(self.worker);
        }
        match self.state {
            Carried::Well => Pin::new(&mut self.stream).poll_write(context, bytes),
            Carried::Lost => Poll::Ready(Ok(bytes.len())),
            Carried::Reset => Poll::Ready(Err(reset())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connected for Line {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        TcpConnectInfo {
            local_addr: self.stream.local_addr().ok(),
            remote_addr: self.stream.peer_addr().ok(),
        }
    }
}

/// The worker at this address.
fn worker_at(address: SocketAddr) -> u32 {
    let name = turmoil::reverse_lookup(address.ip()).unwrap_or_default();
    name.strip_prefix('w').and_then(|id| id.parse().ok()).unwrap_or(u32::MAX)
}

/// The connections that come to a server.
fn incoming(listener: TcpListener) -> impl Stream<Item = io::Result<Line>> {
    let listener = std::sync::Arc::new(listener);
    tokio_stream::StreamExt::then(tokio_stream::iter(std::iter::repeat(())), move |()| {
        let listener = std::sync::Arc::clone(&listener);
        async move {
            let (stream, from) = listener.accept().await?;
            Ok(Line::new(stream, worker_at(from)))
        }
    })
}

/// What gives a server its connections, on the simulated host that runs now.
pub async fn serve() -> io::Result<Box<dyn FnOnce(Router)>> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    Ok(Box::new(move |router: Router| {
        tokio::spawn(router.serve_with_incoming(incoming(listener)));
    }))
}

/// A channel of `worker` to the server.
pub fn channel(endpoint: &Endpoint, worker: u32) -> Channel {
    endpoint.connect_with_connector_lazy(tower::service_fn(move |_| async move {
        if Stage::on_this_thread().carries(worker) == Carried::Reset {
            return Err(reset());
        }
        let stream = TcpStream::connect(("server", PORT)).await?;
        Ok::<_, io::Error>(TokioIo::new(Line::new(stream, worker)))
    }))
}
