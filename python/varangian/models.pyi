# Made by stubs.py from the lists of entries.
from typing import Literal

from varangian._entries import Variant

class EmpireCNN(Variant):
    """Four 3×3 convolutions (64, 64, 128, 128) with batch norm behind the rectifier, two pools, dropout, L(128 or 256), L.."""

    def __init__(
        self,
        *,
        hidden: int | None = None,
        init: Literal["torch", "xavier", "kaiming", "zeros"] | None = None,
        init_seed: int | None = None,
        conv: Literal["auto", "direct", "winograd", "im2col"] | None = None,
        norm: Literal["batch", "frozen-init"] | None = None,
        dropout: bool | None = None,
        dropout_masks: Literal["own", "shared", "frozen"] | None = None,
        dropout_hold: int | None = None,
    ) -> None: ...

class LinRegNet(Variant):
    """L(20, 40), ReLU, L(40, 1) with the mean squared error, for real values.."""

    def __init__(
        self,
        *,
        init: Literal["torch", "xavier", "kaiming", "zeros"] | None = None,
        init_seed: int | None = None,
    ) -> None: ...

class Linear(Variant):
    """One linear layer: softmax regression on classes, linear regression on real values.."""

    def __init__(
        self,
        *,
        init: Literal["torch", "xavier", "kaiming", "zeros"] | None = None,
        init_seed: int | None = None,
    ) -> None: ...

class LogRegNet(Variant):
    """L(20, 40), ReLU, L(40, 2) with cross-entropy, for two classes.."""

    def __init__(
        self,
        *,
        init: Literal["torch", "xavier", "kaiming", "zeros"] | None = None,
        init_seed: int | None = None,
    ) -> None: ...

class Logistic(Variant):
    """One linear layer with one output and the logistic loss, for two classes.."""

    def __init__(
        self,
        *,
        init: Literal["torch", "xavier", "kaiming", "zeros"] | None = None,
        init_seed: int | None = None,
    ) -> None: ...

class MLP(Variant):
    """Fully connected layers with rectified linear units between them.."""

    def __init__(
        self,
        *,
        hidden: str | float | None = None,
        activation: Literal["relu", "none"] | None = None,
        init: Literal["torch", "xavier", "kaiming", "zeros"] | None = None,
        init_seed: int | None = None,
    ) -> None: ...

class MnistNet(Variant):
    """Two C(64, 5×5), pool, dropout, two C(64, 3×3), pool, dropout, L(128), dropout, L.."""

    def __init__(
        self,
        *,
        init: Literal["torch", "xavier", "kaiming", "zeros"] | None = None,
        init_seed: int | None = None,
        conv: Literal["auto", "direct", "winograd", "im2col"] | None = None,
        dropout: bool | None = None,
        dropout_masks: Literal["own", "shared", "frozen"] | None = None,
        dropout_hold: int | None = None,
        dropout_unit: Literal["element", "channel"] | None = None,
    ) -> None: ...

class Pca(Variant):
    """Principal components: E‖x − W·Wᵀ·x‖², judged by what the span of W misses.."""

    def __init__(
        self,
        *,
        components: int | None = None,
        start: Literal["random", "axes"] | None = None,
        first: int | None = None,
        spread: float | None = None,
    ) -> None: ...

class ResNet18(Variant):
    """Eight blocks of two 3×3 convolutions with 64 to 512 channels.."""

    def __init__(
        self,
        *,
        variant: Literal["imagenet", "cifar", "signsgd"] | None = None,
        init: Literal["torch", "xavier", "kaiming", "zeros"] | None = None,
        conv: Literal["auto", "direct", "winograd", "im2col"] | None = None,
        norm: Literal["batch", "frozen-init"] | None = None,
    ) -> None: ...

class ResNet20(Variant):
    """Nine blocks of two 3×3 convolutions with 16, 32, 64 channels, for 32×32 images.."""

    def __init__(
        self,
        *,
        shortcut: Literal["pad", "conv"] | None = None,
        init: Literal["torch", "xavier", "kaiming", "zeros"] | None = None,
        conv: Literal["auto", "direct", "winograd", "im2col"] | None = None,
        norm: Literal["batch", "frozen-init"] | None = None,
    ) -> None: ...

class ResNet50(Variant):
    """Sixteen blocks of 1×1, 3×3 and 1×1 convolutions with 256 to 2048 channels.."""

    def __init__(
        self,
        *,
        variant: Literal["imagenet", "cifar", "signsgd"] | None = None,
        init: Literal["torch", "xavier", "kaiming", "zeros"] | None = None,
        conv: Literal["auto", "direct", "winograd", "im2col"] | None = None,
        norm: Literal["batch", "frozen-init"] | None = None,
    ) -> None: ...

class SimplesConv(Variant):
    """C(20, 5×5), pool, C(50, 5×5), pool, L(500), L: the small convolutional network for digits.."""

    def __init__(
        self,
        *,
        init: Literal["torch", "xavier", "kaiming", "zeros"] | None = None,
        init_seed: int | None = None,
        conv: Literal["auto", "direct", "winograd", "im2col"] | None = None,
    ) -> None: ...

class TorchNet(Variant):
    """C(32, 3×3), C(64, 3×3), pool, dropout, L(128), dropout, L: PyTorch's example for digits.."""

    def __init__(
        self,
        *,
        init: Literal["torch", "xavier", "kaiming", "zeros"] | None = None,
        init_seed: int | None = None,
        conv: Literal["auto", "direct", "winograd", "im2col"] | None = None,
        dropout: bool | None = None,
        dropout_masks: Literal["own", "shared", "frozen"] | None = None,
        dropout_hold: int | None = None,
        dropout_unit: Literal["element", "channel"] | None = None,
        second_relu: bool | None = None,
    ) -> None: ...

class Transformer(Variant):
    """Causal self-attention over a window of characters; cross-entropy of each next character.."""

    def __init__(
        self,
        *,
        width: int | None = None,
        heads: int | None = None,
        blocks: int | None = None,
        hidden: int | None = None,
    ) -> None: ...

class WideResNet(Variant):
    """Blocks of two 3×3 convolutions behind batch norm and rectifier, 10 times as wide: WRN-28-10.."""

    def __init__(
        self,
        *,
        depth: int | None = None,
        widen: int | None = None,
        p: float | None = None,
        init: Literal["torch", "xavier", "kaiming", "zeros"] | None = None,
        conv: Literal["auto", "direct", "winograd", "im2col"] | None = None,
        norm: Literal["batch", "frozen-init"] | None = None,
        dropout: bool | None = None,
        dropout_masks: Literal["own", "shared", "frozen"] | None = None,
        dropout_hold: int | None = None,
    ) -> None: ...

class ZenoPPCNN(Variant):
    """Four 3×3 convolutions of 64 channels with batch norm behind the rectifier, two pools, dropout, L(128), L(128), L.."""

    def __init__(
        self,
        *,
        init: Literal["torch", "xavier", "kaiming", "zeros"] | None = None,
        init_seed: int | None = None,
        conv: Literal["auto", "direct", "winograd", "im2col"] | None = None,
        norm: Literal["batch", "frozen-init"] | None = None,
        dropout: bool | None = None,
        dropout_masks: Literal["own", "shared", "frozen"] | None = None,
        dropout_hold: int | None = None,
    ) -> None: ...

__all__ = [
    "EmpireCNN",
    "LinRegNet",
    "Linear",
    "LogRegNet",
    "Logistic",
    "MLP",
    "MnistNet",
    "Pca",
    "ResNet18",
    "ResNet20",
    "ResNet50",
    "SimplesConv",
    "TorchNet",
    "Transformer",
    "WideResNet",
    "ZenoPPCNN",
]
