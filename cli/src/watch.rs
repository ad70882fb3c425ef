//! `varangian watch DIR… --http ADDRESS`: a page that follows folders of results while they grow.
//!
//! One thread reads each folder, one serves: whatever comes in starts no other, and no request
//! reads a file. The page is this machine's own unless `--public` says otherwise.

mod address;
mod answer;
mod doors;
mod folder;
mod guard;
mod server;

use crate::{Failure, print};
use folder::{Bell, Reader, Seen};
use guard::{Guard, Name};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use varangian_lab::benchmark::Leaderboard;
use varangian_lab::results::Store;

/// Folders at most: each is a thread, and the page holds all of them.
const MOST: usize = 16;

/// Arguments of `varangian watch`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A folder of results or of `varangian benchmark`, or several: the page shows the one that is
    /// chosen there, beside another
    #[arg(required = true, num_args = 1..=MOST)]
    folders: Vec<PathBuf>,
    /// Where the page is served: an address and a port, or a port of this machine; port 0 takes a
    /// free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8600")]
    #[arg(value_parser = address::read)]
    http: SocketAddr,
    /// Serve to other machines too: whoever reaches the port sees all of the folder's results
    #[arg(long)]
    public: bool,
    /// Another name under which browsers may ask for the page: of this machine, or of a tunnel's
    /// end, as localhost:9000
    #[arg(long, value_name = "HOST[:PORT]", value_parser = Name::read)]
    name: Vec<Name>,
}

/// Serves until the process ends.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if !address::is_own(args.http) {
        publish(args)?;
    }
    let stores: Vec<Store> =
        args.folders.iter().map(|folder| of(folder)).collect::<Result<_, _>>()?;
    let (listener, address) = listen(args.http)?;
    let seen = follow(stores.into_iter().zip(&args.folders))?;
    let guard = Guard::new(args.name.clone());
    server::serve(listener, guard, seen, || print::line(&format!("http://{address}/")))
        .map_err(|error| Failure::failed(format!("cannot serve on {address}: {error}")))
}

/// A folder of results, or of entries of the benchmark.
fn of(folder: &Path) -> Result<Store, Failure> {
    Store::open(folder).or_else(|failure| match folder.is_dir() {
        true => match Leaderboard::beside(folder)? {
            Some(_) => Ok(Store::around(folder)),
            None => Err(failure),
        },
        false => Err(failure),
    })
}

/// Serves the page of a folder from a thread of its own, which ends with the process: the address
/// that it has.
///
/// # Errors
/// If nothing can listen there, or the folder is not one of results.
pub(crate) fn beside(folder: &Path, http: SocketAddr) -> Result<SocketAddr, Failure> {
    let store = Store::make(folder)?;
    let (listener, address) = listen(http)?;
    let seen = follow([(store, &folder.to_owned())].into_iter())?;
    thread("page", move || {
        if let Err(error) = server::serve(listener, Guard::new(Vec::new()), seen, || ()) {
            print::note(&format!("warning: the page at {address} is gone: {error}"));
        }
    })?;
    Ok(address)
}

fn listen(http: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let listener = TcpListener::bind(http).map_err(|error| taken(http, &error))?;
    let address = listener.local_addr().unwrap_or(http);
    Ok((listener, address))
}

/// Reads folders again and again, each on a thread that ends with the process.
fn follow<'a>(
    folders: impl Iterator<Item = (Store, &'a PathBuf)>,
) -> Result<(Vec<Seen>, Bell), Failure> {
    let (mut all, bell) = (Vec::new(), Bell::new());
    for (store, folder) in folders {
        let (reader, seen) = Reader::start(store, folder.clone(), bell.clone());
        thread("folder", move || reader.follow())?;
        all.push(seen);
    }
    Ok((all, bell))
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let named = std::thread::Builder::new().name(name.into());
    let failed = |error| Failure::failed(format!("cannot start a thread: {error}"));
    named.spawn(work).map(drop).map_err(failed)
}

/// Reads where a page is served, on this machine alone.
///
/// # Errors
/// Where it is no address, or other machines could reach it.
pub(crate) fn own_address(text: &str) -> Result<SocketAddr, String> {
    let address = address::read(text)?;
    if !address::is_own(address) {
        return Err(format!(
            "{address} can be reached from other machines; `varangian watch FOLDER --public` serves \
             a page to them, and here it is 127.0.0.1:{}",
            address.port()
        ));
    }
    Ok(address)
}

/// Says what a public page shows to whom, or refuses one that nobody asked for.
fn publish(args: &Args) -> Result<(), Failure> {
    let shows = "whoever reaches that port sees all of the folder's results, without a password \
                 and unencrypted";
    if !args.public {
        return Err(Failure::refused(format!(
            "--http {} can be reached from other machines, and {shows}; add --public if that is \
             meant, else use 127.0.0.1:{}",
            args.http,
            args.http.port()
        )));
    }
    print::note(&format!("--public: {} can be reached from other machines; {shows}", args.http));
    Ok(())
}

/// Why nothing can listen there.
fn taken(address: SocketAddr, error: &std::io::Error) -> Failure {
    let port = address.port();
    let next = match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            ": another program has port {port}, perhaps another varangian watch; --http 0 takes a \
             free port"
        ),
        std::io::ErrorKind::PermissionDenied => {
            format!(": port {port} needs rights that this process lacks; take one from 1024 on")
        }
        std::io::ErrorKind::AddrNotAvailable => ": this machine has no such address".into(),
        _ => format!(": {error}"),
    };
    Failure::refused(format!("cannot listen on {address}{next}"))
}
