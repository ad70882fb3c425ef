//! `varangian watch DIR --http ADDRESS`: a page that follows a folder of results while it grows.
//!
//! One page, one JSON document and one stream of server-sent events, over plain HTTP, answered to
//! this machine only unless `--public` is said. The document is made once a second for all who
//! look, and only when the folder has changed.

mod guard;
mod server;

use crate::{Failure, print};
use guard::Guard;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use varangian_lab::results::json::Watched;

/// What stands below the help of `varangian watch`.
const SAFE: &str = "Whoever can reach the page sees everything that it shows; it changes nothing. \
On an address of this machine alone it is answered to pages of its own origin only, so that no \
other page in a browser can read it. On any other address say --public, and the names under which \
it is opened with --name.";

/// Arguments of `varangian watch`.
#[derive(clap::Args)]
#[command(after_help = SAFE)]
pub(crate) struct Args {
    /// A folder of results
    folder: PathBuf,
    /// Where the page is served: an address and a port, localhost:PORT, or a port of this machine
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8600")]
    #[arg(value_parser = address)]
    http: SocketAddr,
    /// Serve it to other machines too
    #[arg(long)]
    public: bool,
    /// A name under which the page is opened, beside localhost and addresses
    #[arg(long, value_name = "HOST")]
    name: Vec<String>,
}

/// Reads "127.0.0.1:8600", "localhost:8600", "\[::1\]:8600", or a port of this machine.
fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || "an address and a port, as in 127.0.0.1:8600 or localhost:8600".to_owned();
    if let Ok(port) = text.parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    let all: Vec<SocketAddr> = text.to_socket_addrs().map_err(|_| wrong())?.collect();
    // A name of this machine has an address of each kind: the older one is what most browsers try.
    let first = all.iter().find(|address| address.is_ipv4()).or(all.first());
    first.copied().ok_or_else(wrong)
}

/// Between two looks at the folder.
const PAUSE: Duration = Duration::from_millis(1000);

/// The document as it stands, and as the stream sends it.
type Latest = Arc<str>;

/// Serves until the process ends.
///
/// # Errors
/// If the folder holds no results, the address is not one of this machine alone and nobody said
/// that this is meant, or it cannot be had.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if !args.http.ip().is_loopback() && !args.public {
        return Err(Failure::refused(format!(
            "{} is seen by other machines, and so is everything that the page shows; say --public \
             if that is meant",
            args.http
        )));
    }
    let watched = Watched::open(&args.folder)?;
    let listener = TcpListener::bind(args.http)
        .map_err(|error| Failure::refused(format!("cannot listen on {}: {error}", args.http)))?;
    let address = listener.local_addr().unwrap_or(args.http);
    if args.public && !args.http.ip().is_loopback() {
        print::note("everybody who can reach this machine can read the page");
    }
    print::line(&format!("http://{}/", shown(address)));
    serve(listener, watched, Guard::new(address, &args.name))
}

/// The address as one types it into a browser: 0.0.0.0 is every address of this machine.
fn shown(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, address.port()).into()
        }
        _ => address,
    }
}

/// Looks at the folder on a thread of its own, and answers on this one.
fn serve(listener: TcpListener, mut watched: Watched, guard: Guard) -> Result<(), Failure> {
    let fail = |what: &str, error: &std::io::Error| Failure::failed(format!("{what}: {error}"));
    let first: Latest = watched.now().text().into();
    let (send, latest) = watch::channel(first);
    let look = move || {
        loop {
            std::thread::sleep(PAUSE);
            let now = watched.now().text();
            send.send_if_modified(|last| {
                let changed = **last != *now;
                if changed {
                    *last = now.into();
                }
                changed
            });
        }
    };
    let thread = std::thread::Builder::new().name("folder".into()).spawn(look);
    thread.map_err(|error| fail("cannot start a thread", &error))?;
    listener.set_nonblocking(true).map_err(|error| fail("cannot listen", &error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| fail("cannot start the server", &error))?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener);
        let listener = listener.map_err(|error| fail("cannot listen", &error))?;
        server::accept(listener, latest, Arc::new(guard)).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_a_port_or_a_name() {
        let of = |text: &str| address(text).map(|address| address.to_string());
        assert_eq!(of("8600").unwrap(), "127.0.0.1:8600");
        assert_eq!(of("localhost:8600").unwrap(), "127.0.0.1:8600");
        assert_eq!(of("[::1]:8600").unwrap(), "[::1]:8600");
        assert_eq!(of("127.0.0.1:0").unwrap(), "127.0.0.1:0");
        for text in ["8600x", "", ":", "localhost", "99999", "127.0.0.1:99999"] {
            assert!(of(text).unwrap_err().contains("as in 127.0.0.1:8600"), "{text}");
        }
        assert_eq!(shown("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
    }
}
