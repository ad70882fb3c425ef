//! What no client of gRPC sends: calls by hand over HTTP/2, its frames, and bytes that are neither.

use super::End;
use super::site::Site;
use h2::client::SendRequest;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use tonic::Code;

/// Bytes of a message as gRPC frames them.
pub(super) fn message(body: &[u8]) -> Vec<u8> {
    saying(body.len() as u32, body)
}

/// The same where the frame says another length.
pub(super) fn saying(length: u32, body: &[u8]) -> Vec<u8> {
    [&[0], &length.to_be_bytes()[..], body].concat()
}

/// The same where the frame says that it is compressed.
pub(super) fn squeezed(body: &[u8]) -> Vec<u8> {
    [&[1], &(body.len() as u32).to_be_bytes()[..], body].concat()
}

impl Site {
    /// A call by hand, with more headers.
    pub(super) fn raw(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> End {
        let called = self.runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(self.address).await?;
            let (client, connection) =
                h2::client::handshake(stream).await.map_err(std::io::Error::other)?;
            let connection = tokio::spawn(connection);
            let answer = tokio::time::timeout(
                Duration::from_secs(10),
                call(client, path, headers, body.to_vec()),
            );
            let answer = answer.await;
            connection.abort();
            answer.map_err(std::io::Error::other)?.map_err(std::io::Error::other)
        });
        let called: std::io::Result<End> = called;
        called.unwrap_or(End::Closed)
    }
}

async fn call(
    client: SendRequest<bytes::Bytes>,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<End, h2::Error> {
    let mut request = http::Request::post(format!("http://server{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("varangian-worker", "5");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut client = client.ready().await?;
    let (answer, mut sender) = client.send_request(request.body(()).expect("a request"), false)?;
    // Where it is refused by its headers, nobody takes its body.
    let _ = sender.send_data(body.into(), true);
    let answer = answer.await?;
    let code = |fields: &http::HeaderMap| {
        let status = fields.get("grpc-status")?.to_str().ok()?.parse().ok()?;
        Some(End::Status(Code::from_i32(status)))
    };
    if !answer.status().is_success() {
        return Ok(End::Http(answer.status().as_u16()));
    }
    if let Some(end) = code(answer.headers()) {
        return Ok(end);
    }
    let mut body = answer.into_body();
    while let Some(data) = body.data().await {
        data?;
    }
    let trailers = body.trailers().await?;
    Ok(trailers.as_ref().and_then(code).unwrap_or(End::Else("no status".into())))
}

/// A megabyte of headers.
pub(super) fn many_headers(site: &Site) -> End {
    let value = "y".repeat(1000);
    let names: Vec<String> = (0..1000).map(|k| format!("x-{k}")).collect();
    let headers: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &*value)).collect();
    site.raw("/varangian.ps.v1.ParameterServer/Push", &headers, b"")
}

fn connect(site: &Site) -> TcpStream {
    let stream = TcpStream::connect(site.address).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a timeout");
    stream.set_write_timeout(Some(Duration::from_secs(15))).expect("a timeout");
    stream
}

/// Whether the server ends the connection.
fn ends(mut stream: TcpStream) -> End {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return End::Closed,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                return End::Closed;
            }
            Err(error) => return End::Else(error.to_string()),
        }
    }
}

/// These bytes, and nothing else.
pub(super) fn bytes(site: &Site, bytes: &[u8]) -> End {
    let mut stream = connect(site);
    stream.write_all(bytes).expect("they are few");
    ends(stream)
}

/// What every connection of HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// These bytes of a frame after a proper beginning.
pub(super) fn frame(site: &Site, frame: &[u8]) -> End {
    bytes(site, &[PREFACE, frame].concat())
}

/// A frame of this kind, with these flags, of this stream.
fn framed(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes()[..], body].concat()
}

/// The headers of a call: POST, http, a path and an authority, none of them indexed.
fn headers() -> Vec<u8> {
    let path = b"/varangian.ps.v1.ParameterServer/Push";
    let mut out = vec![0x83, 0x86, 0x04, path.len() as u8];
    out.extend(path);
    out.extend([0x01, 1]);
    out.extend(b"x");
    out
}

/// Headers whose end never comes.
pub(super) fn continued(site: &Site) -> End {
    let mut stream = connect(site);
    let first = [PREFACE, &framed(1, 0, 1, &headers())].concat();
    stream.write_all(&first).expect("they are few");
    // A header that is named x and says so much.
    let more = [&[0, 1, b'x', 0x7f, 0x81, 0x7f][..], &[b'y'; 16256]].concat();
    for _ in 0..2000 {
        if stream.write_all(&framed(9, 0, 1, &more)).is_err() {
            return End::Closed;
        }
    }
    ends(stream)
}

/// Ten thousand streams, each reset as soon as it is open.
pub(super) fn reset(site: &Site) -> End {
    let mut stream = connect(site);
    stream.write_all(PREFACE).expect("they are few");
    for k in 0..10_000 {
        let id = 2 * k + 1;
        let both = [framed(1, 4, id, &headers()), framed(3, 0, id, &[0, 0, 0, 8])].concat();
        if stream.write_all(&both).is_err() {
            return End::Closed;
        }
    }
    ends(stream)
}

/// Calls that are left half-sent, sixteen on each of many connections, each with most of the
/// message that its first bytes announce; what `meanwhile` says while they are there.
pub(super) fn half_sent<T>(site: &Site, path: &str, meanwhile: impl FnOnce() -> T) -> T {
    let body = bytes::Bytes::from(saying(250 << 10, &vec![0; 200 << 10]));
    let open = async {
        let mut open = Vec::new();
        for _ in 0..40 {
            let stream = tokio::net::TcpStream::connect(site.address).await.expect("room");
            let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
            tokio::spawn(connection);
            for _ in 0..16 {
                let request = http::Request::post(format!("http://server{path}"))
                    .header("content-type", "application/grpc")
                    .header("te", "trailers")
                    .header("varangian-worker", "5");
                let ready = client.clone().ready();
                // A connection that was closed takes no further call.
                let Ok(Ok(mut client)) = tokio::time::timeout(WHILE, ready).await else { break };
                let request = request.body(()).expect("a request");
                let Ok((answer, mut sender)) = client.send_request(request, false) else { break };
                let _ = sender.send_data(body.clone(), false);
                open.push((answer, sender));
            }
        }
        tokio::time::sleep(WHILE).await;
        open
    };
    let open = site.runtime.block_on(open);
    let said = meanwhile();
    drop(open);
    said
}

/// How long bytes may be under way.
const WHILE: Duration = Duration::from_secs(2);
