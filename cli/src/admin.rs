//! `varangian admin`: orders for a server that runs, over its Unix socket.

use crate::top::{as_json, page};
use crate::{Failure, print};
use std::path::PathBuf;
use varangian_net::{Order, ask};

/// What stands below the help of `varangian admin`.
const EXAMPLES: &str = "Examples, for a server whose folder is runs/my-served:
  varangian admin runs/my-served/admin.sock status
  varangian admin runs/my-served/admin.sock revoke 3     # until the server starts again
  varangian ca revoke worker-3 --dir ca                  # for good
  varangian admin runs/my-served/admin.sock stop         # keeps the state; serve goes on from it";

/// Arguments of `varangian admin`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The server's Unix socket
    #[arg(value_name = "SOCKET")]
    socket: PathBuf,
    /// Print how things stand afterwards as JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    order: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// How things stand
    Status,
    /// Open no further round
    Pause,
    /// Go on
    Resume,
    /// Keep the state now
    Checkpoint,
    /// Keep the state and end; the same `varangian serve` goes on from it
    Stop,
    /// Take a worker's identity from it until the server starts again
    Revoke {
        /// The worker
        worker: u32,
    },
}

/// Gives the order and prints how things stand afterwards.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let order = match args.order {
        Command::Status => Order::Status,
        Command::Pause => Order::Pause,
        Command::Resume => Order::Resume,
        Command::Checkpoint => Order::Checkpoint,
        Command::Stop => Order::Stop,
        Command::Revoke { worker } => Order::Revoke(worker),
    };
    let status =
        ask(&args.socket, order).map_err(|trouble| Failure::failed(trouble.to_string()))?;
    match args.json {
        true => print::line(&format!("{:#}", as_json(&status))),
        false => print::line(&page(&status, None)),
    }
    Ok(())
}
