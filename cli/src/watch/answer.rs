//! What is answered: a few things that stand in memory. No part of a request names a file.

use super::folder::{self, Bell, Seen, View};
use super::guard::{Guard, Refusal};
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use varangian_lab::page;

/// Between two signs of life of a stream of events.
const PULSE: Duration = Duration::from_secs(5);

/// What every answer says: nothing is fetched from elsewhere, run from within the text, shown
/// inside another page, taken for another type, or kept.
const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src \
         data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("x-frame-options", "DENY"),
    ("cache-control", "no-store"),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// A body: bytes, or events as they come.
type Body = BoxBody<Bytes, Infallible>;

/// All that can be answered.
#[derive(Clone)]
pub(super) struct Answers {
    guard: Guard,
    seen: Vec<Seen>,
    bell: Bell,
}

impl Answers {
    /// To whom the guard lets pass, of what is seen of each folder; `bell` rings where that
    /// changes.
    pub(super) fn new(guard: Guard, seen: Vec<Seen>, bell: Bell) -> Self {
        Answers { guard, seen, bell }
    }

    /// The answer to a request that came to `here`. Must be called where tasks can be started.
    pub(super) fn to<B>(&self, request: &Request<B>, here: SocketAddr) -> Response<Body> {
        let mut answer = match self.find(request, here) {
            Ok(answer) => answer,
            Err((status, why)) => {
                let mut answer = whole(TEXT, format!("{why}\n").into());
                *answer.status_mut() = status;
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                }
                answer
            }
        };
        for (name, value) in HEADERS {
            let name = HeaderName::from_static(name);
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answer
    }

    fn find<B>(&self, request: &Request<B>, here: SocketAddr) -> Result<Response<Body>, Refusal> {
        self.guard.pass(request, here)?;
        let method = request.method();
        if method != Method::GET && method != Method::HEAD {
            let why = "this page is read, with GET or HEAD, and takes nothing".to_owned();
            return Err((StatusCode::METHOD_NOT_ALLOWED, why));
        }
        let now = |seen: &Seen| -> Arc<View> { seen.borrow().clone() };
        let data = |k: usize| match self.seen.get(k) {
            Some(seen) => Ok(whole("application/json", now(seen).data())),
            None => {
                Err((StatusCode::NOT_FOUND, format!("{} folders are watched", self.seen.len())))
            }
        };
        match request.uri().path() {
            "/" => {
                let all: Vec<Arc<View>> = self.seen.iter().map(now).collect();
                Ok(whole("text/html; charset=utf-8", folder::page(&all)))
            }
            "/data" => data(0),
            path if path.starts_with("/data/") => {
                let missing = || (StatusCode::NOT_FOUND, "a folder has a number".to_owned());
                data(path["/data/".len()..].parse().map_err(|_| missing())?)
            }
            "/events" if method == Method::GET => Ok(self.events()),
            "/events" => Ok(whole("text/event-stream", Bytes::new())),
            "/results.css" => Ok(whole("text/css; charset=utf-8", page::STYLE.into())),
            "/results.js" => Ok(whole(SCRIPT, page::SCRIPT.into())),
            _ => Err((StatusCode::NOT_FOUND, "there are /, /data and /events".to_owned())),
        }
    }

    fn events(&self) -> Response<Body> {
        let (sender, body) = Channel::new(1);
        tokio::spawn(feed(self.seen.clone(), self.bell.heard(), sender));
        typed("text/event-stream", body.boxed())
    }
}

/// One event of each folder in which something has changed, until nobody listens. Who is slow
/// misses some.
async fn feed(mut seen: Vec<Seen>, mut bell: Receiver<u64>, mut sender: Sender<Bytes>) {
    seen.iter_mut().for_each(Seen::mark_changed);
    bell.mark_changed();
    loop {
        let changed = tokio::time::timeout(PULSE, bell.changed()).await;
        let text = match changed {
            // A comment keeps the connection open and finds out whether anyone listens.
            Err(_) => ": same\n\n".to_owned(),
            Ok(Ok(())) => news(&mut seen),
            Ok(Err(_)) => return,
        };
        if !text.is_empty() && sender.send_data(text.into()).await.is_err() {
            return;
        }
    }
}

/// What has not been told yet.
fn news(seen: &mut [Seen]) -> String {
    let new = |(k, seen): (usize, &mut Seen)| {
        let changed = seen.has_changed().unwrap_or(false);
        changed.then(|| seen.borrow_and_update().event(k))
    };
    seen.iter_mut().enumerate().filter_map(new).collect()
}

fn whole(kind: &'static str, bytes: Bytes) -> Response<Body> {
    typed(kind, Full::new(bytes).boxed())
}

fn typed(kind: &'static str, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
