//! `varangian top`: a server that runs, as a table that is drawn again every second.

use crate::{Failure, interrupt, print};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;
use varangian_net::proto::StatusReply;
use varangian_net::{Order, ask};

/// Arguments of `varangian top`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The server's Unix socket: admin.sock in its folder
    #[arg(value_name = "SOCKET")]
    socket: PathBuf,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    every: f64,
    /// Look once
    #[arg(long)]
    once: bool,
    /// Look once, and print JSON
    #[arg(long)]
    json: bool,
}

/// Shows the server until Ctrl-C or its end.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if !(args.every >= 0.05 && args.every <= 3600.0) {
        let found = args.every;
        let text = format!("--every is a number of seconds, 0.05 to 3600; found {found}");
        return Err(Failure::refused(text));
    }
    let once = args.once || args.json || !std::io::stdout().is_terminal();
    let mut before: Option<StatusReply> = None;
    loop {
        let status = match ask(&args.socket, Order::Status) {
            Ok(status) => status,
            Err(_) if before.is_some() => {
                print::line("the server is gone");
                return Ok(());
            }
            Err(trouble) => return Err(Failure::failed(trouble.to_string())),
        };
        let text = match args.json {
            true => format!("{:#}", as_json(&status)),
            false => page(&status, before.as_ref()),
        };
        if once {
            print::line(&text);
            return Ok(());
        }
        // Home, and clear to the end: nothing flickers.
        let mut out = std::io::stdout().lock();
        let text = text.lines().map(print::shown).collect::<Vec<_>>().join("\x1b[K\n");
        if writeln!(out, "\x1b[H{text}\x1b[J").and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
        drop(out);
        before = Some(status);
        for _ in 0..(args.every / 0.05).round() as u64 {
            if interrupt::flag().load(Ordering::Relaxed) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A status for a script: seconds and bytes since the server's start; a weight or loss that is not
/// known is null, and so is a reason where nothing was refused.
pub(crate) fn as_json(status: &StatusReply) -> Value {
    let known = |x: f64| x.is_finite().then_some(x);
    let worker = |worker: &varangian_net::proto::WorkerStatus| {
        json!({ "worker": worker.worker, "name": worker.name, "state": worker.state,
                "admitted": worker.admitted, "refused": worker.refused, "missed": worker.missed,
                "weight": known(worker.weight), "claimed_loss": known(worker.loss),
                "last_refusal": (!worker.reason.is_empty()).then_some(&worker.reason) })
    };
    json!({
        "run": format!("{:016x}", status.run), "step": status.version, "paused": status.paused,
        "n": status.n, "f": status.f, "rule": status.rule, "seconds": status.seconds,
        "skipped": status.skipped, "bytes_in": status.bytes_in, "bytes_out": status.bytes_out,
        "workers": status.workers.iter().map(worker).collect::<Vec<_>>(),
    })
}

/// A status as text; beside the one before, with what happened since.
pub(crate) fn page(status: &StatusReply, before: Option<&StatusReply>) -> String {
    let StatusReply { n, f, version, seconds, skipped, bytes_in, bytes_out, .. } = status;
    let paused = if status.paused { ", paused" } else { "" };
    let mut head = format!(
        "{}, n = {n}, f = {f}: step {version} after {}{paused}; {skipped} skipped",
        status.rule,
        time(*seconds)
    );
    let pace = before.filter(|before| before.seconds < *seconds && before.run == status.run);
    if let Some(before) = pace {
        let over = seconds - before.seconds;
        let steps = version.saturating_sub(before.version) as f64 / over;
        let rate = |now: u64, then: u64| bytes(now.saturating_sub(then) as f64 / over);
        head.push_str(&format!(
            "\n{steps:.1} steps/s, {}/s in, {}/s out",
            rate(*bytes_in, before.bytes_in),
            rate(*bytes_out, before.bytes_out)
        ));
    } else {
        let (come, gone) = (bytes(*bytes_in as f64), bytes(*bytes_out as f64));
        head.push_str(&format!("\n{come} in, {gone} out"));
    }
    let rows: Vec<Vec<String>> = status
        .workers
        .iter()
        .map(|worker| {
            let real = |x: f64| if x.is_nan() { "–".to_owned() } else { print::number(x) };
            vec![
                worker.worker.to_string(),
                worker.name.clone(),
                worker.state.clone(),
                worker.admitted.to_string(),
                worker.refused.to_string(),
                worker.missed.to_string(),
                real(worker.weight),
                real(worker.loss),
                worker.reason.clone(),
            ]
        })
        .collect();
    let names = [
        "worker",
        "name",
        "state",
        "admitted",
        "refused",
        "missed",
        "weight",
        "claimed loss",
        "last refusal",
    ];
    let right = [true, false, false, true, true, true, true, true, false];
    format!("{head}\n\n{}", print::table(&names, &rows, &right))
}

fn time(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{}:{:02} min", whole / 60, whole % 60),
        _ => format!("{}:{:02} h", whole / 3600, whole % 3600 / 60),
    }
}

fn bytes(count: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (count, 0);
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0);
    format!("{value:.digits$} {}", units[unit])
}
