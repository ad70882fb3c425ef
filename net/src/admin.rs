//! Orders of whoever runs the server, over a Unix socket of its own.

use crate::Trouble;
use crate::hub::why;
use crate::proto::admin_client::AdminClient;
use crate::proto::admin_server::Admin;
use crate::proto::{
    CheckpointRequest, PauseRequest, ResumeRequest, RevokeRequest, StatusReply, StatusRequest,
    StopRequest,
};
pub use crate::shared::Order;
use crate::shared::{Event, Shared};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

/// The service behind the Unix socket.
pub(crate) struct Desk {
    pub(crate) shared: Arc<Shared>,
}

impl Desk {
    async fn obey(&self, order: Order) -> Result<Response<StatusReply>, Status> {
        let (reply, status) = oneshot::channel();
        self.shared.tell(Event::Order(order, reply));
        let status = status.await;
        status.map(Response::new).map_err(|_| Status::unavailable("the server is going down"))
    }
}

#[tonic::async_trait]
impl Admin for Desk {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusReply>, Status> {
        self.obey(Order::Status).await
    }

    async fn pause(&self, _: Request<PauseRequest>) -> Result<Response<StatusReply>, Status> {
        self.obey(Order::Pause).await
    }

    async fn resume(&self, _: Request<ResumeRequest>) -> Result<Response<StatusReply>, Status> {
        self.obey(Order::Resume).await
    }

    async fn checkpoint(
        &self,
        _: Request<CheckpointRequest>,
    ) -> Result<Response<StatusReply>, Status> {
        self.obey(Order::Checkpoint).await
    }

    async fn stop(&self, _: Request<StopRequest>) -> Result<Response<StatusReply>, Status> {
        self.obey(Order::Stop).await
    }

    async fn revoke(
        &self,
        request: Request<RevokeRequest>,
    ) -> Result<Response<StatusReply>, Status> {
        let worker = request.into_inner().worker;
        if worker as usize >= self.shared.terms.n {
            let most = self.shared.terms.n - 1;
            let text = format!("workers are 0 to {most}; found {worker}");
            return Err(Status::invalid_argument(text));
        }
        self.obey(Order::Revoke(worker)).await
    }
}

/// Gives the server behind this socket an order, and says how things stand there afterwards.
///
/// # Errors
/// If nobody answers there, or the order is refused.
pub fn ask(socket: &Path, order: Order) -> Result<StatusReply, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Trouble(format!("cannot start: {error}")))?;
    let asked = async {
        let address = format!("unix://{}", socket.display());
        let endpoint = tonic::transport::Endpoint::from_shared(address)
            .map_err(|error| Trouble(format!("{}: {}", socket.display(), why(&error))))?
            .timeout(Duration::from_secs(60));
        let channel = endpoint.connect().await.map_err(|error| {
            Trouble(format!("no server answers at {}: {}", socket.display(), why(&error)))
        })?;
        let mut admin = AdminClient::new(channel);
        let reply = match order {
            Order::Status => admin.status(StatusRequest {}).await,
            Order::Pause => admin.pause(PauseRequest {}).await,
            Order::Resume => admin.resume(ResumeRequest {}).await,
            Order::Checkpoint => admin.checkpoint(CheckpointRequest {}).await,
            Order::Stop => admin.stop(StopRequest {}).await,
            Order::Revoke(worker) => admin.revoke(RevokeRequest { worker }).await,
        };
        reply.map(Response::into_inner).map_err(|status| Trouble(status.message().to_owned()))
    };
    runtime.block_on(asked)
}
