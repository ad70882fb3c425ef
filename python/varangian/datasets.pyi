# Made by stubs.py from the lists of entries.
from typing import Literal

from varangian._entries import Variant

class CIFAR10(Variant):
    """Photographs of ten kinds of things, 32 × 32 colour.."""

    def __init__(
        self,
        *,
        normalise: Literal["standard", "measured", "none"] | None = None,
        flip: Literal["none", "train", "both"] | None = None,
        crop: int | None = None,
        pad: Literal["zero", "replicate"] | None = None,
        records: Literal["official", "any"] | None = None,
    ) -> None: ...

class CIFAR100(Variant):
    """Photographs of a hundred kinds of things, 32 × 32 colour.."""

    def __init__(
        self,
        *,
        labels: Literal["fine", "coarse"] | None = None,
        normalise: Literal["standard", "measured", "none"] | None = None,
        flip: Literal["none", "train", "both"] | None = None,
        crop: int | None = None,
        pad: Literal["zero", "replicate"] | None = None,
        records: Literal["official", "any"] | None = None,
    ) -> None: ...

class CSV(Variant):
    """Your own table: comma-separated numbers, one column to predict.."""

    def __init__(
        self,
        *,
        file: str | float | None = None,
        test: str | float | None = None,
        target: str | float | None = None,
        header: Literal["auto", "true", "false"] | None = None,
        task: Literal["labels", "values"] | None = None,
        standardise: bool | None = None,
    ) -> None: ...

class EMNIST(Variant):
    """Handwritten digits and letters, 28 × 28 grey, in six divisions.."""

    def __init__(
        self,
        *,
        split: Literal["balanced", "letters", "digits", "mnist", "byclass", "bymerge"] | None = None,
        normalise: Literal["standard", "measured", "none"] | None = None,
        flip: Literal["none", "train", "both"] | None = None,
        crop: int | None = None,
        pad: Literal["zero", "replicate"] | None = None,
    ) -> None: ...

class FashionMNIST(Variant):
    """Articles of clothing, 28 × 28 grey; its files are named as MNIST's, so they stand in a folder of their own.."""

    def __init__(
        self,
        *,
        normalise: Literal["standard", "measured", "none"] | None = None,
        flip: Literal["none", "train", "both"] | None = None,
        crop: int | None = None,
        pad: Literal["zero", "replicate"] | None = None,
    ) -> None: ...

class Glyphs(Variant):
    """Built-in handwritten digits, 28 × 28 grey, drawn from strokes; needs no files.."""

    def __init__(
        self,
        *,
        normalise: Literal["standard", "measured", "none"] | None = None,
        flip: Literal["none", "train", "both"] | None = None,
        crop: int | None = None,
        pad: Literal["zero", "replicate"] | None = None,
    ) -> None: ...

class Images(Variant):
    """Your own pictures: folders of PNG and JPEG files, one a class (ImageNet's layout).."""

    def __init__(
        self,
        *,
        file: str | float | None = None,
        size: int | None = None,
        resize: int | None = None,
        colour: bool | None = None,
        memory: float | None = None,
        cache: bool | None = None,
        normalise: Literal["standard", "measured", "none"] | None = None,
        flip: Literal["none", "train", "both"] | None = None,
        crop: int | None = None,
        pad: Literal["zero", "replicate"] | None = None,
    ) -> None: ...

class LibSVM(Variant):
    """Your own table in LIBSVM's sparse text, made dense.."""

    def __init__(
        self,
        *,
        file: str | float | None = None,
        test: str | float | None = None,
        base: Literal["1", "0"] | None = None,
        task: Literal["labels", "values"] | None = None,
        standardise: bool | None = None,
    ) -> None: ...

class LinReg(Variant):
    """Generated linear regression: 20 correlated features, Gaussian noise, all standardised.."""

    def __init__(
        self,
        *,
        numpy_seed: int | None = None,
    ) -> None: ...

class LogReg(Variant):
    """Generated logistic regression: 20 correlated features, labels drawn from the sigmoid.."""

    def __init__(
        self,
        *,
        numpy_seed: int | None = None,
    ) -> None: ...

class LowRank(Variant):
    """Generated for principal components: a few directions beneath noise, and outliers if asked for.."""

    def __init__(
        self,
        *,
        width: int | None = None,
        components: int | None = None,
        samples: int | None = None,
        noise: float | None = None,
        gap: float | None = None,
        outliers: float | None = None,
        reach: float | None = None,
        basis: Literal["random", "axes"] | None = None,
    ) -> None: ...

class MNIST(Variant):
    """Handwritten digits, 28 × 28 grey.."""

    def __init__(
        self,
        *,
        normalise: Literal["standard", "measured", "none"] | None = None,
        flip: Literal["none", "train", "both"] | None = None,
        crop: int | None = None,
        pad: Literal["zero", "replicate"] | None = None,
    ) -> None: ...

class NPZ(Variant):
    """Your own arrays: an .npz, or a folder of .npy files, with x_train, y_train, x_test, y_test.."""

    def __init__(
        self,
        *,
        file: str | float | None = None,
        layout: Literal["auto", "hwc", "chw"] | None = None,
        task: Literal["labels", "values"] | None = None,
        standardise: bool | None = None,
        normalise: Literal["standard", "measured", "none"] | None = None,
        flip: Literal["none", "train", "both"] | None = None,
        crop: int | None = None,
        pad: Literal["zero", "replicate"] | None = None,
    ) -> None: ...

class Phrases(Variant):
    """Generated text, words by a Markov chain: windows of characters, the next one as label.."""

    def __init__(
        self,
        *,
        length: int | None = None,
        words: int | None = None,
    ) -> None: ...

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "CSV",
    "EMNIST",
    "FashionMNIST",
    "Glyphs",
    "Images",
    "LibSVM",
    "LinReg",
    "LogReg",
    "LowRank",
    "MNIST",
    "NPZ",
    "Phrases",
]
