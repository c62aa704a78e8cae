"""What an object holds, however indirectly: what a training that is given it could find out."""

import gc
from collections.abc import Iterator
from types import FunctionType, ModuleType

import torch


def reachable(start: object) -> Iterator[object]:
    """Yield everything that `start` holds, however indirectly; what all objects share, classes and modules, ends it."""
    seen, waiting = set(), [start]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, (type, ModuleType)):
            continue
        seen.add(id(value))
        if isinstance(value, FunctionType):  # its module's globals lead everywhere
            waiting += [value.__closure__, value.__defaults__, value.__kwdefaults__]
            continue
        waiting += gc.get_referents(value)
        if isinstance(value, torch.Tensor) and value._base is not None:
            waiting.append(value._base)
        yield value
