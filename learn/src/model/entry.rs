//! The ordered list of all models, and how one is built for a data set.

use super::Model;
use crate::data::Shape;
use varangian_base::{Entry, Spec, SpecError, entry, spec};

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
    pub const fn image(
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
    &super::pca::ENTRY,
    &super::convolutional::SIMPLES_CONV,
    &super::convolutional::TORCHNET,
    &super::convolutional::MNISTNET,
    &super::convolutional::EMPIRE_CNN,
    &super::convolutional::ZENO_PP_CNN,
    &super::resnet::RESNET20,
    &super::resnet::RESNET18,
    &super::resnet::RESNET50,
    &super::resnet::WIDE_RESNET,
    &super::transformer::ENTRY,
];

/// The model specified by `text`, as "mlp hidden=100", for inputs of this shape and this many
/// classes (0 for regression).
///
/// # Errors
/// If the specification is malformed, or the model does not go with the data.
pub fn build(text: &str, shape: Shape, classes: usize) -> Result<Box<dyn Model>, SpecError> {
    build_among(text, shape, classes, &[])
}

/// As [`build`], where `text` may also name one of `own`: a model from outside.
///
/// # Errors
/// As [`build`]; or if an own entry has the name of another.
pub fn build_among(
    text: &str,
    shape: Shape,
    classes: usize,
    own: &[&'static ModelEntry],
) -> Result<Box<dyn Model>, SpecError> {
    let name = published(spec::parse(text)?, own).name;
    recipe_among(text, own)?.build(shape, classes).map_err(|error| error.at(name))
}

/// How the model specified by `text` is built once the data are known.
///
/// # Errors
/// If the specification is malformed.
pub fn recipe(text: &str) -> Result<Box<dyn Recipe>, SpecError> {
    recipe_among(text, &[])
}

/// As [`recipe`], where `text` may also name one of `own`: a model from outside.
///
/// # Errors
/// As [`recipe`]; or if an own entry has the name of another.
pub fn recipe_among(text: &str, own: &[&'static ModelEntry]) -> Result<Box<dyn Recipe>, SpecError> {
    let spec = published(spec::parse(text)?, own);
    entry::find("model", &entry::among("model", ALL, own)?, &spec.name)?.make(&spec)
}

/// Papers write "wide-resnet-28-10" for "wide-resnet depth=28 widen=10". A name of one's own stays.
fn published(mut spec: Spec, own: &[&'static ModelEntry]) -> Spec {
    if own.iter().any(|entry| entry.name == spec.name) {
        return spec;
    }
    let sizes = spec.name.strip_prefix("wide-resnet-").and_then(|sizes| sizes.split_once('-'));
    if let Some((depth, widen)) = sizes.map(|(depth, widen)| (depth.to_owned(), widen.to_owned())) {
        spec.name = "wide-resnet".to_owned();
        spec.pairs.extend([("depth".to_owned(), depth), ("widen".to_owned(), widen)]);
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_network_goes_by_its_published_name_too() {
        let shape = Shape { channels: 3, height: 8, width: 8 };
        let tensors = |text: &str| build(text, shape, 10).map(|model| model.tensors().to_vec());
        let plain = tensors("wide-resnet depth=10 widen=2").unwrap();
        assert_eq!(tensors("wide-resnet-10-2").unwrap(), plain);
        let error = tensors("wide-resnet-11-2").unwrap_err().to_string();
        assert!(error.contains("depth takes 6k + 4; found 11"), "{error}");
    }
}
