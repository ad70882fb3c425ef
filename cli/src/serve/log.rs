//! What a server says of itself: log lines, and metrics for Prometheus.

use super::traces::Traces;
use crate::print;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::net::SocketAddr;
use varangian_base::SpecError;
use varangian_net::Tally;

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A line as people read it.
    Text,
    /// A JSON object a line.
    Json,
}

/// Begins to log, where that is asked for (`RUST_LOG` says what, `info` unless it does), and to
/// hand spans on.
pub(super) fn begin(format: Option<Format>, traces: Option<&Traces>) {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    use tracing_subscriber::{EnvFilter, Layer};
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new("info,h2=warn,hyper=warn,tonic=warn,rustls=warn,tower=warn")
    });
    let lines = format.map(|format| {
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = match format {
            Format::Text => lines.with_ansi(false).boxed(),
            Format::Json => lines
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .boxed(),
        };
        lines.with_filter(filter)
    });
    if lines.is_none() && traces.is_none() {
        return;
    }
    let spans = traces.map(Traces::layer);
    // A second server in one process logs with the first one's.
    let _ = tracing_subscriber::registry().with(lines).with(spans).try_init();
}

/// Metrics on an address.
pub(super) struct Metrics;

impl Metrics {
    /// Serves metrics at `/metrics` of this address.
    ///
    /// # Errors
    /// If it cannot listen there.
    pub(super) fn serve(address: SocketAddr) -> Result<Self, SpecError> {
        let built = PrometheusBuilder::new().with_http_listener(address).install();
        built.map_err(|error| SpecError::new(format!("cannot serve metrics: {error}")))?;
        metrics::describe_counter!("varangian_steps_total", "Steps closed.");
        metrics::describe_counter!("varangian_skipped_total", "Steps that had too few rows.");
        metrics::describe_counter!("varangian_rows_total", "Rows that the rule saw.");
        metrics::describe_counter!("varangian_refused_total", "Messages that were refused.");
        metrics::describe_gauge!("varangian_step", "The step that is open.");
        metrics::describe_gauge!("varangian_present", "Workers that are connected.");
        metrics::describe_gauge!("varangian_worker_admitted", "A worker's admitted messages.");
        metrics::describe_gauge!("varangian_worker_refused", "A worker's refused messages.");
        metrics::describe_gauge!("varangian_worker_missed", "Rounds that waited for it in vain.");
        metrics::describe_gauge!("varangian_worker_weight", "The weight of its last row.");
        print::note(&format!("metrics at http://{address}/metrics"));
        Ok(Metrics)
    }

    /// A step was closed.
    pub(super) fn step(&mut self, step: u64, rows: usize, skipped: bool, refused: usize) {
        metrics::counter!("varangian_steps_total").increment(1);
        metrics::counter!("varangian_skipped_total").increment(u64::from(skipped));
        metrics::counter!("varangian_rows_total").increment(rows as u64);
        metrics::counter!("varangian_refused_total").increment(refused as u64);
        metrics::gauge!("varangian_step").set(step as f64 + 1.0);
    }

    /// How workers stand.
    pub(super) fn workers(&self, tallies: &[Tally]) {
        let present = tallies.iter().filter(|tally| tally.present).count();
        metrics::gauge!("varangian_present").set(present as f64);
        for (worker, tally) in tallies.iter().enumerate() {
            let worker = worker.to_string();
            let set = |name: &'static str, value: f64| {
                metrics::gauge!(name, "worker" => worker.clone()).set(value);
            };
            set("varangian_worker_admitted", tally.admitted as f64);
            set("varangian_worker_refused", tally.refused as f64);
            set("varangian_worker_missed", tally.missed as f64);
            if let Some(weight) = tally.weight {
                set("varangian_worker_weight", weight);
            }
        }
    }
}
