//! A collector of OpenTelemetry's traces, for as long as a test lasts.

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use std::sync::{Arc, Mutex};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

#[derive(Clone, Default)]
struct Service(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|of| of.scope_spans);
        self.0.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// The collector, and what it was sent.
pub(crate) struct Collector {
    pub(crate) endpoint: String,
    spans: Service,
    _runtime: tokio::runtime::Runtime,
}

impl Collector {
    pub(crate) fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let spans = Service::default();
        let service = TraceServiceServer::new(spans.clone());
        let incoming =
            runtime.block_on(async { TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap() });
        let endpoint = format!("http://{}", incoming.local_addr().unwrap());
        let server = tonic::transport::Server::builder().add_service(service);
        runtime.spawn(server.serve_with_incoming(incoming));
        Collector { endpoint, spans, _runtime: runtime }
    }

    /// The spans of this name.
    pub(crate) fn named(&self, name: &str) -> Vec<Span> {
        let all = self.spans.0.lock().unwrap();
        all.iter().filter(|span| span.name == name).cloned().collect()
    }
}
