//! Learning: models, data sets, partitions and optimisers. Flat parameters in, loss and flat
//! gradient out.
//!
//! Nothing here knows of workers, rules or attacks.
//!
//! ```
//! use varangian_base::{Domain, Seed};
//! use varangian_learn::model::{Place, Prepared, build};
//! use varangian_learn::{Batch, data::load};
//! let split = load("glyphs", None, Seed(1))?;
//! let model = build("linear", split.train.shape(), split.train.classes())?;
//! let params = model.init(Seed(1));
//! let mut batch = Batch::default();
//! split.train.fill(&[0, 1, 2], &mut Seed(1).stream(Domain::Augment, 0, 0), &mut batch);
//! let mut prepared: Prepared = Box::new(());
//! model.prepare(&params, &mut prepared);
//! let mut gradient = vec![0.0; model.dim()];
//! let place = Place { seed: Seed(1), worker: 0, step: 0 };
//! let loss =
//!     model.gradient(&params, &prepared, &batch, place, &mut model.workspace(), &mut gradient);
//! assert!(loss > 0.0 && gradient.iter().any(|&x| x != 0.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
