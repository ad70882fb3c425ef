//! Spans of a server's rounds, sent by OTLP to whatever collects OpenTelemetry's traces.

use crate::print;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Runtime;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

/// Traces under way to a collector; the rest of them goes out when it is dropped.
pub(super) struct Traces {
    provider: SdkTracerProvider,
    endpoint: String,
    /// Where the collector's connection is kept.
    runtime: Runtime,
}

impl Traces {
    /// Traces for the collector at `endpoint`.
    ///
    /// # Errors
    /// If that is no address of one.
    pub(super) fn to(endpoint: &str) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("traces")
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start a thread for traces: {error}"))?;
        let _inside = runtime.enter();
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
        let exporter = exporter.map_err(|error| format!("--traces {endpoint}: {error}"))?;
        let resource = Resource::builder()
            .with_service_name("varangian")
            .with_attribute(opentelemetry::KeyValue::new(
                "service.version",
                env!("CARGO_PKG_VERSION"),
            ))
            .build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource);
        let (provider, endpoint) = (provider.build(), endpoint.to_owned());
        drop(_inside);
        Ok(Traces { provider, endpoint, runtime })
    }

    /// What hands the spans on.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    {
        let own = Targets::new().with_target("varangian", LevelFilter::INFO);
        let layer = tracing_opentelemetry::layer().with_tracer(self.provider.tracer("varangian"));
        layer.with_filter(own)
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        if let Err(error) = self.provider.shutdown() {
            let endpoint = &self.endpoint;
            print::note(&format!("warning: not all traces reached {endpoint}: {error}"));
        }
    }
}

/// Reads where a collector is.
///
/// # Errors
/// If it is no address by http.
pub(super) fn endpoint(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").filter(|rest| !rest.is_empty());
    match rest {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!(
            "a collector of OTLP over gRPC is named as http://127.0.0.1:4317 (one beside the \
             server may pass traces on by TLS); found {text}"
        )),
    }
}
