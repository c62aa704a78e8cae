"""References: objects named by text, ``module:name``, so that naming one does not import what it needs."""

from importlib import import_module
from typing import Any


def module_of(reference: str) -> str:
    """Return the module of a reference.

    >>> module_of("models.localization.psp:PSPNet")
    'models.localization.psp'
    """
    return reference.partition(":")[0]


def resolve(reference: str) -> Any:
    """Import and return what a reference names.

    >>> resolve("math:tau") > 6
    True
    """
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)
