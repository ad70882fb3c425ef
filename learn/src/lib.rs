//! Learning: models, data sets, partitions and optimisers. Flat parameters in, loss and flat
//! gradient out.
//!
//! Nothing here knows of workers, rules or attacks.

pub mod batch;
pub mod conformance;
pub mod data;
pub mod kernels;
pub mod model;
pub mod optim;
pub mod partition;

pub use batch::{Batch, Sampler, Targets};
pub use data::Dataset;
pub use model::{Model, Tensor, Workspace};
