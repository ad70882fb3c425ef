//! Sizes of a convolution, and the choice of how it is computed.

use crate::data::Shape;
use crate::kernels::image::Border;
use crate::kernels::winograd;

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Winograd where it applies and pays, else direct.
    Auto,
    /// Products over the image where it lies.
    Direct,
    /// F(4×4, 3×3) and F(4×4, 5×5) for 3×3 and 5×5 with stride 1, else direct.
    Winograd,
    /// Patches gathered into a matrix, then one product.
    Im2col,
}

impl Method {
    /// From the checked text of [`PARAM`].
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "direct" => Method::Direct,
            "winograd" => Method::Winograd,
            "im2col" => Method::Im2col,
            _ => Method::Auto,
        }
    }

    /// What stands for this method at a convolution of these sizes.
    pub(crate) fn settle(self, size: usize, stride: usize, pad: usize, channels: usize) -> Self {
        let fits = winograd::fits(size) && stride == 1 && pad < size;
        match self {
            Method::Auto if fits && channels >= 16 => Method::Winograd,
            Method::Winograd if fits => Method::Winograd,
            Method::Im2col => Method::Im2col,
            _ => Method::Direct,
        }
    }
}

/// The parameter by which networks take the method.
pub(crate) const PARAM: varangian_base::Param = varangian_base::Param {
    name: "conv",
    kind: varangian_base::Kind::Choice(&["auto", "direct", "winograd", "im2col"]),
    default: "auto",
    help: "how convolutions are computed: winograd, for 3×3 and 5×5 with stride 1 \
           (F(4×4, 3×3), F(4×4, 5×5)), up to twice as fast and a few last bits less exact; \
           direct; im2col, slowest; auto, winograd where it pays, else direct",
};

/// What a convolution looks like before its weights have a place.
#[derive(Clone, Copy)]
pub(crate) struct Geometry {
    pub(crate) input: Shape,
    pub(crate) outputs: usize,
    pub(crate) size: usize,
    pub(crate) stride: usize,
    pub(crate) pad: usize,
    pub(crate) border: Border,
}

impl Geometry {
    /// The shape of the output.
    pub(crate) fn output(&self) -> Shape {
        let len = |x: usize| (x + 2 * self.pad - self.size) / self.stride + 1;
        let (height, width) = (len(self.input.height), len(self.input.width));
        Shape { channels: self.outputs, height, width }
    }
}
