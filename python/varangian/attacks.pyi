# Made by stubs.py from the lists of entries.
from typing import Literal

from varangian._attack import Listed

class ALIE(Listed):
    """A little is enough: all send the honest mean − z standard deviations."""

    def __init__(
        self,
        *,
        z: float | None = None,
        sign: Literal["negative", "positive"] | None = None,
        ddof: int | None = None,
        knowledge: Literal["honest", "own"] | None = None,
        search: Literal["off", "on", "reference", "byzfl"] | None = None,
        evaluations: int | None = None,
    ) -> None: ...

class AntiCGE(Listed):
    """Against norm filters: minus the sum of the smallest honest rows, at the largest norm that is kept."""

    def __init__(
        self,
        *,
        twice: bool | None = None,
    ) -> None: ...

class Backdoor(Listed):
    """Hostile workers stamp a patch on some images and call them the target; rows may be scaled."""

    def __init__(
        self,
        *,
        target: int | None = None,
        size: int | None = None,
        value: float | None = None,
        fraction: float | None = None,
        scale: float | None = None,
    ) -> None: ...

class BitFlip(Listed):
    """Chosen bits of random tiles of the worker's own gradient are inverted."""

    def __init__(
        self,
        *,
        bits: str | float | None = None,
        rate: float | None = None,
        tile: int | None = None,
        first: int | None = None,
        of: Literal["own", "first"] | None = None,
    ) -> None: ...

class BlindInversion(Listed):
    """Each hostile worker negates what it would have sent, signs or momentum."""

    def __init__(
        self,
    ) -> None: ...

class Cancel(Listed):
    """One adversary sends minus the sum of all other rows; the others are honest."""

    def __init__(
        self,
    ) -> None: ...

class Constant(Listed):
    """Every coordinate of every hostile row has the same value."""

    def __init__(
        self,
        *,
        value: float | None = None,
    ) -> None: ...

class DelayedGradient(Listed):
    """Each hostile worker sends its own gradient of D steps ago."""

    def __init__(
        self,
        *,
        delay: int | None = None,
    ) -> None: ...

class Empire(Listed):
    """All send (1 − factor) times the honest mean, distributed-momentum's form of ipm."""

    def __init__(
        self,
        *,
        factor: float | None = None,
        search: Literal["off", "on", "reference", "byzfl"] | None = None,
        evaluations: int | None = None,
    ) -> None: ...

class Extreme(Listed):
    """Hostile workers send finite numbers at the edges of the float format."""

    def __init__(
        self,
        *,
        value: Literal["huge", "minus-huge", "max", "alternating", "tiny", "denormal", "negative-zero"] | None = None,
        every: int | None = None,
    ) -> None: ...

class Fang(Listed):
    """Local model poisoning tailored to Krum, the trimmed mean or the median."""

    def __init__(
        self,
        *,
        against: Literal["krum", "trimmed-mean", "median"] | None = None,
        knowledge: Literal["honest", "own"] | None = None,
        b: float | None = None,
        centre: Literal["zero", "mean"] | None = None,
    ) -> None: ...

class Gaussian(Listed):
    """Each hostile worker sends independent normal noise."""

    def __init__(
        self,
        *,
        sd: float | None = None,
        mean: float | None = None,
        around: Literal["nothing", "own"] | None = None,
    ) -> None: ...

class IPM(Listed):
    """Inner-product manipulation: all send −ε times the honest mean."""

    def __init__(
        self,
        *,
        epsilon: float | None = None,
        search: Literal["off", "on", "reference", "byzfl"] | None = None,
        evaluations: int | None = None,
    ) -> None: ...

class Kill(Listed):
    """Sign votes: tie every coordinate that can be tied, or flip it by one vote."""

    def __init__(
        self,
        *,
        zero_start: Literal["code", "text"] | None = None,
        by: Literal["votes", "one"] | None = None,
    ) -> None: ...

class KillWire(Listed):
    """One-bit sign votes, where a tie is +1: the smallest total that turns the coordinate."""

    def __init__(
        self,
        *,
        by: Literal["votes", "one"] | None = None,
    ) -> None: ...

class LabelFlip(Listed):
    """Hostile workers train on labels l → classes − 1 − l, random, or one class as another."""

    def __init__(
        self,
        *,
        mode: Literal["mirror", "random", "targeted"] | None = None,
        source: int | None = None,
        target: int | None = None,
        fraction: float | None = None,
    ) -> None: ...

class Mimic(Listed):
    """All copy the honest worker farthest along the learned direction of largest variance."""

    def __init__(
        self,
        *,
        warmup: int | None = None,
        target: int | None = None,
    ) -> None: ...

class MinMax(Listed):
    """As far from the mean as the two farthest honest rows are from each other."""

    def __init__(
        self,
        *,
        direction: Literal["std", "unit", "sign"] | None = None,
    ) -> None: ...

class MinSum(Listed):
    """As far from the mean as the sum of squared distances to the honest rows allows."""

    def __init__(
        self,
        *,
        direction: Literal["std", "unit", "sign"] | None = None,
        limit: Literal["max", "min"] | None = None,
    ) -> None: ...

class Mixed(Listed):
    """Groups of hostile workers with different attacks."""

    def __init__(
        self,
        *,
        groups: str | float | None = None,
    ) -> None: ...

class NoAttack(Listed):
    """Hostile workers behave honestly: the baseline."""

    def __init__(
        self,
    ) -> None: ...

class NonFinite(Listed):
    """Hostile workers send NaN or infinities."""

    def __init__(
        self,
        *,
        value: Literal["nan", "inf", "minus-inf", "mixed"] | None = None,
        every: int | None = None,
    ) -> None: ...

class Oppose(Listed):
    """Sign votes: all hostile votes against the honest majority of the coordinate."""

    def __init__(
        self,
        *,
        by: Literal["votes", "one"] | None = None,
    ) -> None: ...

class PoisonedFL(Listed):
    """One random sign vector for the whole run, sized by the server's last step."""

    def __init__(
        self,
        *,
        factor: float | None = None,
        period: int | None = None,
    ) -> None: ...

class RandomSigns(Listed):
    """Sign votes: each hostile worker votes by a fair coin in each coordinate."""

    def __init__(
        self,
    ) -> None: ...

class Relocation(Listed):
    """Near the server's last aggregate, moved at an angle: against centred clipping."""

    def __init__(
        self,
        *,
        z: float | None = None,
        angle: float | None = None,
        lambda_: float | None = None,
        pi: float | None = None,
    ) -> None: ...

class SaddlePoint(Listed):
    """A fake minimum: the aggregate is drawn to that of a bowl around a saddle."""

    def __init__(
        self,
        *,
        pull: float | None = None,
        below: float | None = None,
        push: float | None = None,
    ) -> None: ...

class SafeguardAttack(Listed):
    """All send −factor times the honest mean, small enough to pass SafeguardSGD's thresholds."""

    def __init__(
        self,
        *,
        factor: float | None = None,
    ) -> None: ...

class SignFlip(Listed):
    """Each hostile worker sends its own gradient times −scale."""

    def __init__(
        self,
        *,
        scale: float | None = None,
        of: Literal["own", "mean", "first", "sum"] | None = None,
    ) -> None: ...

class SingleCoordinate(Listed):
    """The honest mean plus a factor in one coordinate, or in all."""

    def __init__(
        self,
        *,
        factor: float | None = None,
        coordinate: str | float | None = None,
        search: Literal["off", "on", "reference", "byzfl"] | None = None,
        evaluations: int | None = None,
    ) -> None: ...

class StaleSigns(Listed):
    """Sign votes: each hostile worker sends the signs of its own gradient of D steps ago."""

    def __init__(
        self,
        *,
        delay: int | None = None,
    ) -> None: ...

class TimeCoupledALIE(Listed):
    """A little is enough, on the same side of each coordinate in every round."""

    def __init__(
        self,
        *,
        z: float | None = None,
        sides: Literal["random", "first"] | None = None,
    ) -> None: ...

class Variance(Listed):
    """A little is enough at the z = 0.3 of SafeguardSGD's experiments."""

    def __init__(
        self,
        *,
        z: float | None = None,
        ddof: int | None = None,
    ) -> None: ...

class Worst(Listed):
    """Search for the rows that do most harm to the rule in force."""

    def __init__(
        self,
        *,
        budget: int | None = None,
        objective: Literal["distance", "inner-product", "drift", "loss"] | None = None,
        groups: int | None = None,
        horizon: int | None = None,
        probe: str | float | None = None,
    ) -> None: ...

class Zero(Listed):
    """Hostile workers send zeros: free riders."""

    def __init__(
        self,
    ) -> None: ...

__all__ = [
    "ALIE",
    "AntiCGE",
    "Backdoor",
    "BitFlip",
    "BlindInversion",
    "Cancel",
    "Constant",
    "DelayedGradient",
    "Empire",
    "Extreme",
    "Fang",
    "Gaussian",
    "IPM",
    "Kill",
    "KillWire",
    "LabelFlip",
    "Mimic",
    "MinMax",
    "MinSum",
    "Mixed",
    "NoAttack",
    "NonFinite",
    "Oppose",
    "PoisonedFL",
    "RandomSigns",
    "Relocation",
    "SaddlePoint",
    "SafeguardAttack",
    "SignFlip",
    "SingleCoordinate",
    "StaleSigns",
    "TimeCoupledALIE",
    "Variance",
    "Worst",
    "Zero",
]
