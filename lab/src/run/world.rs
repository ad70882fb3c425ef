//! Where the workers of a run are: in this process, unless somebody brings another world.

use crate::config::Settings;
use std::fmt;
use std::sync::Arc;
use varangian_base::SpecError;
use varangian_sim::{Course, Run};

/// Where runs happen.
pub trait World: Send + Sync {
    /// Begins a run of these settings.
    ///
    /// # Errors
    /// If it cannot begin.
    fn begin(&self, settings: &Settings, course: Course) -> Result<Box<dyn Run>, SpecError>;

    /// Whether a checkpoint that does not fit ends the run, instead of being dropped: where others
    /// take part, nothing starts over behind their backs.
    fn keeps_checkpoints(&self) -> bool {
        false
    }
}

/// This process.
struct Here;

impl World for Here {
    fn begin(&self, _: &Settings, course: Course) -> Result<Box<dyn Run>, SpecError> {
        course.begin()
    }
}

/// A world that is shared.
#[derive(Clone)]
pub struct Worlds(Arc<dyn World>);

impl Worlds {
    /// This world.
    pub fn of(world: Arc<dyn World>) -> Self {
        Worlds(world)
    }

    /// The world itself.
    pub(crate) fn world(&self) -> &dyn World {
        self.0.as_ref()
    }
}

impl Default for Worlds {
    fn default() -> Self {
        Worlds(Arc::new(Here))
    }
}

impl fmt::Debug for Worlds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worlds")
    }
}
