//! The ordered list of all models, and how one is built for a data set.

use super::Model;
use crate::data::Shape;
use varangian_base::{Entry, SpecError, entry, spec};

/// How a model is built once the data set is known.
pub trait Recipe: Send + Sync {
    /// The model for inputs of this shape and this many classes (0 for regression).
    ///
    /// # Errors
    /// If the model cannot read such inputs or answer such targets.
    fn build(&self, shape: Shape, classes: usize) -> Result<Box<dyn Model>, SpecError>;
}

/// The entry of a model.
pub type ModelEntry = Entry<dyn Recipe, Home>;

/// The inputs for which a model was published, and its size there.
#[derive(Clone, Copy, Debug)]
pub struct Home {
    /// The shape of an input.
    pub shape: Shape,
    /// The number of classes; 0 for regression.
    pub classes: usize,
    /// d: the number of parameters there, with the default parameters of the entry.
    pub d: usize,
}

impl Home {
    /// Inputs of channels × height × width.
    pub(crate) const fn image(
        channels: usize,
        height: usize,
        width: usize,
        classes: usize,
        d: usize,
    ) -> Home {
        Home { shape: Shape { channels, height, width }, classes, d }
    }
}

/// Every model, in the order in which catalogue and help print them.
pub static ALL: &[&ModelEntry] = &[
    &super::dense::LINEAR,
    &super::dense::LOGISTIC,
    &super::dense::MLP,
    &super::dense::LINREG_NET,
    &super::dense::LOGREG_NET,
    &super::convolutional::SIMPLES_CONV,
    &super::convolutional::TORCHNET,
    &super::convolutional::MNISTNET,
    &super::convolutional::EMPIRE_CNN,
    &super::convolutional::ZENO_PP_CNN,
    &super::resnet::RESNET20,
    &super::resnet::RESNET18,
    &super::resnet::RESNET50,
    &super::resnet::WIDE_RESNET,
];

/// The model specified by `text`, as "mlp hidden=100", for inputs of this shape and this many
/// classes (0 for regression).
///
/// # Errors
/// If the specification is malformed, or the model does not go with the data.
pub fn build(text: &str, shape: Shape, classes: usize) -> Result<Box<dyn Model>, SpecError> {
    let spec = spec::parse(text)?;
    let entry = entry::find("model", ALL, &spec.name)?;
    let recipe = entry.make(&spec)?;
    recipe.build(shape, classes).map_err(|error| error.at(entry.name))
}
