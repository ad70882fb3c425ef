"""What rules and attacks share: a memory that is copied, pickled and forgotten, and the name under
which what Python wrote is brought."""

from __future__ import annotations

import copy
import inspect
import re
from typing import TYPE_CHECKING, Any

from varangian._entries import CATALOGUE

if TYPE_CHECKING:
    from typing_extensions import Self

# What of an object is no memory of the user's.
HIDDEN = ("_its_f", "_its_step", "_its_last", "_its_handle", "_its_own", "_its_start", "name")

# What is made again where it is needed.
_MADE = ("_its_handle", "_its_last", "_its_own")


class Kept:
    """Something with a memory: the core holds it for what stands in the lists, the object itself for
    what Python wrote."""

    name: str = ""

    _its_handle: Any = None
    _its_step: int = 0
    _its_last: Any = None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if cls.__module__.split(".")[0] == __name__.split(".")[0]:
            return
        # Who writes a rule need not know how ours are made: a name of ours is no silent change.
        ours = [base for base in cls.__mro__ if base.__module__.split(".")[0] == "varangian"]
        for name in vars(cls):
            if name.startswith("_") and not name.startswith("__"):
                taken = [base for base in ours if name in vars(base)]
                if taken:
                    raise TypeError(
                        f"{cls.__name__}.{name}: {taken[0].__name__} has something of that name "
                        "for itself; give yours another"
                    )

    def _brought(self) -> list[Any]:
        """The entries of what Python wrote in it."""
        raise NotImplementedError

    def _open(self) -> Any:
        """Makes its handle in the core."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forgets all earlier calls: what it held before the first is there again."""
        start = self.__dict__.get("_its_start")
        if start is not None:
            for name in held(self):
                del self.__dict__[name]
            self.__dict__.update(copy.deepcopy(start))
        self._its_handle, self._its_step, self._its_last = None, 0, None

    def copy(self) -> Self:
        """An independent copy with the same memory."""
        return copy.copy(self)

    def __copy__(self) -> Self:
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        other = type(self).__new__(type(self))
        memo[id(self)] = other
        for key, value in self.__dict__.items():
            if key not in _MADE:
                other.__dict__[key] = copy.deepcopy(value, memo)
        if self._is_in_core():
            other._its_handle = self._its_handle.fork()
        return other

    def __getstate__(self) -> dict[str, Any]:
        state = {key: value for key, value in self.__dict__.items() if key not in _MADE}
        if self._is_in_core():
            state["_memory"] = self._its_handle.save()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        memory = state.pop("_memory", None)
        self.__dict__.update(state)
        if memory is not None:
            self._open().load(memory)

    def _is_in_core(self) -> bool:
        """Whether its memory is the handle's; stages alone have none."""
        return hasattr(self._its_handle, "fork") and not self._brought()

    def _remember_start(self) -> None:
        """Keeps what it holds before its first call."""
        if "_its_start" not in self.__dict__:
            self._its_start = copy.deepcopy(held(self))

    def _fresh(self) -> Self:
        """A copy that has not been called."""
        other = copy.deepcopy(self)
        other.reset()
        return other

    def _named(self, kind: str) -> tuple[str, str]:
        """The name and the summary under which it is brought among the ``kind`` of the lists."""
        self._remember_start()
        own = type(self).__name__
        name = self.name or hyphened(own)
        if any(entry["name"] == name for entry in CATALOGUE[kind]):
            raise ValueError(
                f'two {kind} are called "{name}": one of the list, and {own}; its attribute name '
                "gives it another"
            )
        return name, (inspect.getdoc(type(self)) or "from Python").split("\n")[0]


def held(thing: Any) -> dict[str, Any]:
    """What an object holds of the user's."""
    return {name: value for name, value in vars(thing).items() if name not in HIDDEN}


def hyphened(name: str) -> str:
    """"TwoWords" is "two-words"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).replace("_", "-").strip("-").lower()
