//! Connections: bounded in number, in what a head may hold, and in how long anyone may take.

use super::answer::Answers;
use super::doors::{Asked, Doors};
use super::folder::{Bell, Seen};
use super::guard::Guard;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;

/// The largest head of a request, in bytes: browsers bring cookies of all that ever ran on
/// localhost, commonly up to 8 KiB.
const HEAD: usize = 32 << 10;
/// A head must be whole within this time.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// Who takes nothing of an answer for this long is let go.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// Connections that go where one too many comes.
const SPARE: usize = 8;
/// Until the next try where no connection can be taken.
const BACK_OFF: Duration = Duration::from_millis(20);
/// What is still heard of somebody who has had the answer, so that it is not lost on the way.
const LINGER: (u64, Duration) = (4 << 20, Duration::from_secs(2));

/// Serves until the process ends; `ready` is called once connections are taken.
///
/// # Errors
/// If no loop over sockets can be made.
pub(super) fn serve(
    listener: std::net::TcpListener,
    guard: Guard,
    seen: (Vec<Seen>, Bell),
    ready: impl FnOnce(),
) -> io::Result<()> {
    // One thread, which is there already: none that could be lacking later.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    listener.set_nonblocking(true)?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        ready();
        accept(&listener, &Answers::new(guard, seen.0, seen.1)).await
    })
}

async fn accept(listener: &TcpListener, answers: &Answers) -> io::Result<()> {
    let doors = Doors::default();
    for number in 0.. {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (asked, answers, out) = (Asked::default(), answers.clone(), doors.clone());
                let own = Arc::clone(&asked);
                let task = tokio::spawn(async move {
                    connection(stream, &answers, &own).await;
                    out.leave(number);
                });
                doors.enter(number, task.abort_handle(), asked);
            }
            // Somebody who went away before he was let in.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            // No descriptor or no memory is left: some who say nothing go, and who waits is taken.
            // The reader of the folder needs some too.
            Err(_) => {
                doors.close(SPARE);
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
    Ok(())
}

/// Answers one request: browsers that want more come again.
async fn connection(stream: TcpStream, answers: &Answers, asked: &Asked) {
    let Ok(here) = stream.local_addr() else { return };
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIME));
    let service = service_fn(|request| {
        asked.store(true, Ordering::Relaxed);
        let answer = answers.to(&request, here);
        std::future::ready(Ok::<_, std::convert::Infallible>(answer))
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_header_size(HEAD)
        .max_buf_size(2 * HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    // What went wrong, the other side has been told, or is gone.
    let _ = std::future::poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    linger(connection.into_parts().io.into_inner()).await;
}

/// Closes for writing and hears the other side out: a socket that is closed while something stands
/// unread in it takes the answer back.
async fn linger(mut stream: Pin<Box<TimeoutStream<TcpStream>>>) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let (most, time) = LINGER;
    let mut rest = stream.take(most);
    let hear = async {
        let mut bytes = [0; 8192];
        while rest.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    };
    let _ = tokio::time::timeout(time, hear).await;
}
