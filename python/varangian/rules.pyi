# Made by stubs.py from the lists of entries.
from typing import Literal

from varangian._rule import Listed

class AKSEL(Listed):
    """Mean of the rows nearest to the coordinate-wise median."""

    def __init__(
        self,
        f: int | None = None,
        *,
        mode: Literal["mid", "n-f"] | None = None,
        middle: Literal["mean", "lower"] | None = None,
    ) -> None: ...

class Average(Listed):
    """Mean of all rows; no defence, the baseline."""

    def __init__(
        self,
        f: int | None = None,
    ) -> None: ...

class Bulyan(Listed):
    """Repeated Krum selections, then a coordinate-wise mean around their median."""

    def __init__(
        self,
        f: int | None = None,
        *,
        variant: Literal["rescored", "classic", "reference", "one-shot"] | None = None,
        m: int | None = None,
    ) -> None: ...

class ByzantineSGD(Listed):
    """Sum over m of the workers whose gradients, and sums of them over the run, stay near the medians."""

    def __init__(
        self,
        f: int | None = None,
        *,
        v: float | None = None,
        T: int | None = None,
        D: float | None = None,
        p: float | None = None,
        ta: float | None = None,
        tb: float | None = None,
        times: float | None = None,
        divide: Literal["all", "good"] | None = None,
    ) -> None: ...

class CAF(Listed):
    """Weights fall along the direction of greatest variance until 2f are gone; the mean of least variance."""

    def __init__(
        self,
        f: int | None = None,
        *,
        variant: Literal["weighted", "byzfl"] | None = None,
    ) -> None: ...

class CGE(Listed):
    """Mean of the n − f rows of least norm."""

    def __init__(
        self,
        f: int | None = None,
    ) -> None: ...

class CentredClipping(Listed):
    """Moves from its last answer by the mean of differences clipped to length τ."""

    def __init__(
        self,
        f: int | None = None,
        *,
        tau: float | None = None,
        quantile: float | None = None,
        L: int | None = None,
        start: Literal["last", "median", "mean", "zero"] | None = None,
    ) -> None: ...

class DRACO(Listed):
    """Mean over groups of r workers of the gradient that a group's majority sent."""

    def __init__(
        self,
        f: int | None = None,
        *,
        r: int | None = None,
    ) -> None: ...

class DRACOCyclic(Listed):
    """Mean of n gradients from coded sums of r each, whoever f are."""

    def __init__(
        self,
        f: int | None = None,
        *,
        r: int | None = None,
        n: int | None = None,
    ) -> None: ...

class DnC(Listed):
    """Drops the rows farthest along the top singular vector of random coordinates."""

    def __init__(
        self,
        f: int | None = None,
        *,
        T: int | None = None,
        b: int | None = None,
        c: float | None = None,
    ) -> None: ...

class FABA(Listed):
    """Mean after f times dropping the row farthest from the mean."""

    def __init__(
        self,
        f: int | None = None,
    ) -> None: ...

class FLTrust(Listed):
    """Rows rescaled to the server's own gradient, weighted by their positive cosine with it."""

    def __init__(
        self,
        f: int | None = None,
    ) -> None: ...

class FedSECA(Listed):
    """Mean of the entries that have the sign which rows elect by how far they agree."""

    def __init__(
        self,
        f: int | None = None,
        *,
        gamma: float | None = None,
    ) -> None: ...

class GAS(Listed):
    """Mean of the n − f rows that are nearest to a robust rule's answers over random groups of coordinates."""

    def __init__(
        self,
        f: int | None = None,
        *,
        p: int | None = None,
        base: Literal["median", "trimmed-mean", "krum", "multi-krum", "bulyan", "rfa"] | None = None,
    ) -> None: ...

class GeometricMedian(Listed):
    """The point of least total distance to the rows."""

    def __init__(
        self,
        f: int | None = None,
        *,
        tolerance: float | None = None,
        steps: int | None = None,
    ) -> None: ...

class Krum(Listed):
    """The row whose n − f − 2 nearest others are nearest, by squared distance."""

    def __init__(
        self,
        f: int | None = None,
        *,
        variant: Literal["blanchard", "byzfl", "distributed-momentum", "bucketing"] | None = None,
        below_bound: Literal["refuse", "allow"] | None = None,
    ) -> None: ...

class LASA(Listed):
    """Mean of sparse rows whose length and share of positive entries are near the median's."""

    def __init__(
        self,
        f: int | None = None,
        *,
        keep: float | None = None,
        norm: float | None = None,
        sign: float | None = None,
    ) -> None: ...

class MDA(Listed):
    """Mean of the n − f rows of least diameter, found exactly."""

    def __init__(
        self,
        f: int | None = None,
    ) -> None: ...

class Majority(Listed):
    """Per coordinate, the sign that more workers sent."""

    def __init__(
        self,
        f: int | None = None,
        *,
        ties: Literal["zero", "plus-one", "random"] | None = None,
        margin: int | None = None,
        votes: Literal["signs", "sum"] | None = None,
        weights: str | float | None = None,
    ) -> None: ...

class MeaMed(Listed):
    """Coordinate-wise mean of the n − f values nearest to the median."""

    def __init__(
        self,
        f: int | None = None,
        *,
        middle: Literal["mean", "lower"] | None = None,
    ) -> None: ...

class Median(Listed):
    """Coordinate-wise median."""

    def __init__(
        self,
        f: int | None = None,
        *,
        middle: Literal["mean", "lower", "upper"] | None = None,
    ) -> None: ...

class MoNNA(Listed):
    """Mean of the n − f rows nearest to a trusted worker's row."""

    def __init__(
        self,
        f: int | None = None,
        *,
        pivot: int | None = None,
    ) -> None: ...

class MultiKrum(Listed):
    """Mean of the m rows of least Krum score."""

    def __init__(
        self,
        f: int | None = None,
        *,
        variant: Literal["blanchard", "byzfl", "distributed-momentum", "bucketing"] | None = None,
        m: int | None = None,
        below_bound: Literal["refuse", "allow"] | None = None,
    ) -> None: ...

class Phocas(Listed):
    """Coordinate-wise mean of the n − f values nearest to the trimmed mean."""

    def __init__(
        self,
        f: int | None = None,
    ) -> None: ...

class RFA(Listed):
    """T smoothed Weiszfeld steps towards the geometric median."""

    def __init__(
        self,
        f: int | None = None,
        *,
        T: int | None = None,
        nu: float | None = None,
        start: Literal["median", "mean", "zero"] | None = None,
    ) -> None: ...

class RSA(Listed):
    """Λ times the sum of the rows' signs: the server of RSA."""

    def __init__(
        self,
        f: int | None = None,
        *,
        lambda_: float | None = None,
    ) -> None: ...

class Reactive(Listed):
    """The mean, with a chance a step that work is repeated and liars are caught for good."""

    def __init__(
        self,
        f: int | None = None,
        *,
        chance: float | None = None,
        r: int | None = None,
    ) -> None: ...

class SMEA(Listed):
    """Mean of the n − f rows whose covariance has the least top eigenvalue, found exactly."""

    def __init__(
        self,
        f: int | None = None,
    ) -> None: ...

class Safeguard(Listed):
    """Mean of the workers whose sums over a short and a long window stay near the median."""

    def __init__(
        self,
        f: int | None = None,
        *,
        t0: int | None = None,
        t1: int | None = None,
        th0: float | None = None,
        th1: float | None = None,
        mode: Literal["empirical", "fixed", "calibrated", "theory"] | None = None,
        mult: float | None = None,
        floor: float | None = None,
        patience: int | None = None,
        calibration: int | None = None,
        p: float | None = None,
        v: float | None = None,
        norm: Literal["per-good", "unnormalised"] | None = None,
        nu: float | None = None,
        drop_immediately: bool | None = None,
        reset_every: int | None = None,
    ) -> None: ...

class SequentialClipping(Listed):
    """Centred clipping from bucket to bucket of rows that differ in direction."""

    def __init__(
        self,
        f: int | None = None,
        *,
        tau: float | None = None,
        s: int | None = None,
    ) -> None: ...

class SignGuard(Listed):
    """Mean of the rows of usual norm and of the largest cluster of sign shares, cut to the median norm."""

    def __init__(
        self,
        f: int | None = None,
        *,
        low: float | None = None,
        high: float | None = None,
        share: float | None = None,
        bandwidth: float | None = None,
    ) -> None: ...

class SingleSafeguard(Listed):
    """Mean of the workers whose sums over one window stay near the median."""

    def __init__(
        self,
        f: int | None = None,
        *,
        t: int | None = None,
        th: float | None = None,
        mode: Literal["empirical", "fixed", "calibrated", "theory"] | None = None,
        mult: float | None = None,
        floor: float | None = None,
        patience: int | None = None,
        calibration: int | None = None,
        p: float | None = None,
        v: float | None = None,
        norm: Literal["per-good", "unnormalised"] | None = None,
        nu: float | None = None,
        drop_immediately: bool | None = None,
        reset_every: int | None = None,
    ) -> None: ...

class Sum(Listed):
    """Sum of all rows: the distributed SGD that sign votes are compared with."""

    def __init__(
        self,
        f: int | None = None,
    ) -> None: ...

class TrimmedMean(Listed):
    """Coordinate-wise mean without the f smallest and f largest values."""

    def __init__(
        self,
        f: int | None = None,
        *,
        beta: float | None = None,
    ) -> None: ...

class Zeno(Listed):
    """Mean of the n − b rows whose step lowers the server's validation loss most."""

    def __init__(
        self,
        f: int | None = None,
        *,
        b: int | None = None,
        rho: float | None = None,
        rho_ratio: float | None = None,
        batch: int | None = None,
    ) -> None: ...

__all__ = [
    "AKSEL",
    "Average",
    "Bulyan",
    "ByzantineSGD",
    "CAF",
    "CGE",
    "CentredClipping",
    "DRACO",
    "DRACOCyclic",
    "DnC",
    "FABA",
    "FLTrust",
    "FedSECA",
    "GAS",
    "GeometricMedian",
    "Krum",
    "LASA",
    "MDA",
    "Majority",
    "MeaMed",
    "Median",
    "MoNNA",
    "MultiKrum",
    "Phocas",
    "RFA",
    "RSA",
    "Reactive",
    "SMEA",
    "Safeguard",
    "SequentialClipping",
    "SignGuard",
    "SingleSafeguard",
    "Sum",
    "TrimmedMean",
    "Zeno",
]
