//! A worker's message: every length is known before the first byte, memory comes from the budget,
//! and none is spent on what is not for now.

use crate::points;
use crate::proto::push_request::Part;
use crate::proto::{PushHeader, PushRequest, Receipt};
use crate::shared::{Event, Letter, Said, Shared, Turn};
use crate::terms::CHUNK;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::{Status, Streaming};
use varangian_train::Reason;

/// How long a worker may take from one chunk to the next.
const BREATH: Duration = Duration::from_secs(20);
/// The least bytes a second of a whole message, over half a minute.
const SLOWEST: u64 = 64 << 10;
/// How long a message may wait for memory.
const QUEUE: Duration = Duration::from_secs(30);

/// Takes the message of `worker` in and says what became of it.
pub(super) async fn take(
    shared: &Arc<Shared>,
    worker: u32,
    mut stream: Streaming<PushRequest>,
) -> Result<Receipt, Status> {
    let Some(Part::Header(header)) = next(&mut stream).await? else {
        return Err(Status::invalid_argument("a message begins with its header"));
    };
    if header.run != shared.run {
        let text = "the server was started anew since this worker joined: join again";
        return Err(Status::failed_precondition(text));
    }
    let Some(turn) = Turn::take(shared, worker) else {
        let text = format!("another message of worker {worker} is under way");
        return Err(Status::resource_exhausted(text));
    };
    tracing::Span::current().record("bytes", header.bytes as i64);
    points::task_passes("push header").await;
    let most = shared.terms.letter.most();
    if let Some(why) = untimely(shared, &header) {
        if header.version < shared.news.borrow().version {
            shared.tell(Event::Late(worker));
        }
        waste(&mut stream, most).await;
        return Ok(receipt(shared, worker, &header, &[], why));
    }
    let body = if header.bytes > most as u64 {
        waste(&mut stream, most).await;
        let found = header.bytes;
        let text = format!("a message takes at most {most} bytes; the header says {found}");
        Err((Reason::WrongLength, text))
    } else {
        Ok(read(shared, &mut stream, header.bytes as usize).await?)
    };
    let digest = body.as_ref().map_or([0; 32], |(bytes, _)| *blake3::hash(bytes).as_bytes());
    if body.is_ok() && !header.digest.is_empty() && header.digest != digest.as_slice() {
        return Err(Status::data_loss("the digest differs from the header's: send it again"));
    }
    // The budget is held until the machine has looked at the message.
    let (body, _held) = match body {
        Ok((bytes, held)) => (Ok(bytes), Some(held)),
        Err(why) => (Err(why), None),
    };
    points::task_passes("push whole").await;
    let (reply, said) = oneshot::channel();
    let PushHeader { version, number, loss, .. } = header;
    let letter = Letter { worker, version, number, body, digest, loss, reply };
    shared.tell(Event::Letter(Box::new(letter)));
    let said = said.await.map_err(|_| Status::unavailable("the server is going down"))?;
    points::task_passes("push answered").await;
    drop(turn);
    Ok(receipt(shared, worker, &header, &digest, said))
}

/// Why a message is not for now, where it is not: known from its header.
fn untimely(shared: &Shared, header: &PushHeader) -> Option<Said> {
    let news = Arc::clone(&shared.news.borrow());
    let refuse = |reason: Reason, detail: String| {
        Some(Said { admitted: false, reason: reason.name().to_owned(), detail })
    };
    let (now, asked) = (news.version, header.version);
    if shared.terms.asynchronous {
        if asked > now {
            let text = format!("version {now} is the newest, the message has {asked}");
            return refuse(Reason::WrongStep, text);
        }
        if now - asked > shared.staleness {
            let (most, age) = (shared.staleness, now - asked);
            let text = format!("a message is at most {most} steps old; found {age}");
            return refuse(Reason::WrongStep, text);
        }
        return None;
    }
    // The last step's message may be a repetition whose receipt is kept.
    let timely = asked == now && news.open || asked.checked_add(1) == Some(now);
    if !timely || header.number != asked {
        let number = header.number;
        let text = format!("step {now} is open, the message is {number} for step {asked}");
        return refuse(Reason::WrongStep, text);
    }
    None
}

/// How long so many bytes may take.
pub(super) fn longest(bytes: usize) -> Duration {
    Duration::from_secs(30 + bytes as u64 / SLOWEST)
}

/// The next part of a message.
async fn next(stream: &mut Streaming<PushRequest>) -> Result<Option<Part>, Status> {
    let Ok(part) = timeout(BREATH, stream.message()).await else {
        return Err(Status::deadline_exceeded("nothing came for 20 seconds"));
    };
    Ok(part?.and_then(|part| part.part))
}

/// Throws away what still comes, no more than a message and not for long: an answer that
/// overtakes what it answers looks like a broken connection to the other side.
async fn waste(stream: &mut Streaming<PushRequest>, most: usize) {
    let all = async {
        let mut left = most + CHUNK;
        while let Ok(Some(Part::Chunk(chunk))) = next(stream).await {
            left = left.saturating_sub(chunk.len().max(1));
            if left == 0 {
                break;
            }
        }
    };
    // Whoever is slower than this gets its answer early.
    let _ = timeout(BREATH, all).await;
}

/// Reads `bytes` bytes of chunks, with memory from the budget, which is given back with them.
async fn read(
    shared: &Arc<Shared>,
    stream: &mut Streaming<PushRequest>,
    bytes: usize,
) -> Result<(Vec<u8>, tokio::sync::OwnedSemaphorePermit), Status> {
    let units = Shared::units(bytes);
    let wait = timeout(QUEUE, Arc::clone(&shared.budget).acquire_many_owned(units)).await;
    let Ok(Ok(held)) = wait else {
        return Err(Status::resource_exhausted("no memory for the message now: try again"));
    };
    let whole = longest(bytes);
    let all = async {
        let mut body = Vec::with_capacity(bytes);
        loop {
            match next(stream).await? {
                Some(Part::Chunk(chunk)) => {
                    if chunk.len() > CHUNK || body.len() + chunk.len() > bytes {
                        let (found, len) = (body.len() + chunk.len(), chunk.len());
                        return Err(Status::invalid_argument(format!(
                            "a chunk has at most {CHUNK} bytes and the message {bytes}; found a \
                             chunk of {len} and {found} in all"
                        )));
                    }
                    shared.count_in(chunk.len());
                    body.extend_from_slice(&chunk);
                    points::task_passes("push chunk").await;
                }
                Some(Part::Header(_)) => {
                    return Err(Status::invalid_argument("a second header"));
                }
                None if body.len() == bytes => return Ok(body),
                None => {
                    let found = body.len();
                    let text = format!("the message ended after {found} of {bytes} bytes");
                    return Err(Status::data_loss(text));
                }
            }
        }
    };
    match timeout(whole, all).await {
        Ok(body) => Ok((body?, held)),
        Err(_) => {
            let text = format!("{bytes} bytes take at most {} seconds", whole.as_secs());
            Err(Status::deadline_exceeded(text))
        }
    }
}

fn receipt(
    shared: &Shared,
    worker: u32,
    header: &PushHeader,
    digest: &[u8],
    said: Said,
) -> Receipt {
    let Said { admitted, reason, detail } = said;
    Receipt {
        run: shared.run,
        worker,
        number: header.number,
        admitted,
        reason,
        detail,
        digest: digest.to_vec().into(),
        signature: bytes::Bytes::new(),
    }
}
