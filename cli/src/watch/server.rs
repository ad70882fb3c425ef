//! The server of the page: one thread, bounded heads, bounded numbers of connections, timeouts.

use super::guard::Guard;
use super::{Latest, PAUSE};
use crate::Failure;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Sleep, sleep, timeout};

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");

/// Connections at a time; the next one waits until one of these ends.
const MOST: usize = 2000;
/// How long a client may take over the head of its request.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes that the head of a request may have: some browsers carry much for every port of a machine.
const HEAD: usize = 64 << 10;
/// How long an answer may take, but for a stream: a client that does not read ends then.
const ANSWER: Duration = Duration::from_secs(60);
/// How long a stream lasts: the page opens another one then.
const STREAM: Duration = Duration::from_secs(600);
/// How long the server waits where no more connections can be opened.
const BACK_OFF: Duration = Duration::from_millis(100);

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// Answers connections until the process ends.
///
/// # Errors
/// None: what fails is one connection's.
pub(super) async fn accept(
    listener: TcpListener,
    latest: watch::Receiver<Latest>,
    guard: Arc<Guard>,
) -> Result<(), Failure> {
    let room = Arc::new(Semaphore::new(MOST));
    loop {
        let Ok(seat) = room.clone().acquire_owned().await else { return Ok(()) };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // No descriptor is left, or a client has gone: others are being answered meanwhile.
            Err(_) => {
                sleep(BACK_OFF).await;
                continue;
            }
        };
        let (latest, guard) = (latest.clone(), guard.clone());
        // One thread answers all: a task costs no thread, and none can be missing.
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, &latest, &guard);
                std::future::ready(Ok::<_, Infallible>(answer))
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .max_buf_size(HEAD)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // A client that goes away, or says nonsense, ends its own connection only.
            let _ = timeout(STREAM + ANSWER, connection).await;
            drop(seat);
        });
    }
}

fn answer(request: &Request<Incoming>, latest: &watch::Receiver<Latest>, guard: &Guard) -> Answer {
    let text = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
    let checked = guard.check(text("host"), text("origin"), text("sec-fetch-site"));
    if let Err((status, why)) = checked {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
        return whole(status, "text/plain; charset=utf-8", why.to_owned());
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let text = "the page is read with GET\n".to_owned();
        let mut answer = whole(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", text);
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let ok = |kind, text| whole(StatusCode::OK, kind, text);
    match request.uri().path() {
        // The first state comes with the page: nobody looks at an empty one for a second.
        "/" => ok("text/html; charset=utf-8", page(&latest.borrow())),
        "/page.js" => ok("text/javascript; charset=utf-8", SCRIPT.to_owned()),
        "/page.css" => ok("text/css; charset=utf-8", STYLE.to_owned()),
        "/results.json" => ok("application/json", latest.borrow().to_string()),
        "/events" => stream(latest.clone()),
        _ => {
            let text = "there are /, /results.json and /events\n".to_owned();
            whole(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", text)
        }
    }
}

/// The page with its first state: in a script's text no "<" ends it.
fn page(latest: &Latest) -> String {
    PAGE.replacen("{}", &latest.replace('<', "\\u003c"), 1)
}

fn whole(status: StatusCode, kind: &'static str, text: String) -> Answer {
    let body = Full::new(Bytes::from(text)).boxed();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    said(answer.headers_mut(), kind);
    answer
}

fn stream(latest: watch::Receiver<Latest>) -> Answer {
    let (wait, end) = (Box::pin(sleep(Duration::ZERO)), Box::pin(sleep(STREAM)));
    let mut answer = Response::new(Events { latest, wait, end, fresh: true }.boxed());
    said(answer.headers_mut(), "text/event-stream");
    answer
}

/// What every answer says of itself: what it is, that it is nothing else, that it is no part of any
/// other page, and that nothing but its own script and style belong to it.
fn said(headers: &mut HeaderMap, kind: &'static str) {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src \
                          'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let all = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in all {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let name = header::HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(name, HeaderValue::from_static("same-origin"));
}

/// One event whenever the folder has changed; a comment where it has not, which keeps the
/// connection alive and finds out whether anyone listens. A client that reads slowly gets the last
/// state when it reads again, and nothing waits for it in memory.
struct Events {
    latest: watch::Receiver<Latest>,
    wait: Pin<Box<Sleep>>,
    end: Pin<Box<Sleep>>,
    fresh: bool,
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        if self.wait.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.wait = Box::pin(sleep(PAUSE));
        // The thread that looks at the folder has ended: so does the stream.
        let Ok(changed) = self.latest.has_changed() else { return Poll::Ready(None) };
        let text = match std::mem::take(&mut self.fresh) || changed {
            true => format!("data: {}\n\n", *self.latest.borrow_and_update()),
            false => ": same\n\n".to_owned(),
        };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(text)))))
    }
}
