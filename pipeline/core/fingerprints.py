"""Names for results: a hash of everything that a result depends on, code included.

The code that a result depends on is not listed anywhere: it is everything that the entry module imports, directly or
indirectly. Scratch results carry the hash in their name, so that changed code never picks up what older code computed.
"""

import ast
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

HARMLESS: Mapping[str, str] = {
    "pipeline.core.devices": "where something is computed; a result names its kind of device by itself",
    "pipeline.core.errors": "what is said when there is no result",
    "pipeline.core.files": "how files are written, not what",
    "pipeline.core.fingerprints": "how results are named",
    "pipeline.core.processes": "when processes end",
    "pipeline.core.version": "what a release is called",
    "pipeline.params": "a result names the values of its params by itself",
    "pipeline.backbones.registry": "which backbones there are; a result names the modules of its own",
    "pipeline.methods.registry": "which methods there are; a result names the modules of its own",
}
"""Modules and packages that change no value of a result; neither they nor what only they import count."""

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the packages."""


def fingerprint(value: Any) -> str:
    """Return a short hash of a JSON-like value: equal values give equal names, whatever their key order."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source_fingerprint(*modules: str) -> str:
    """Return a hash of the code of first-party modules and of all they import, except :data:`HARMLESS`.

    Comments, docstrings and layout do not count.

    Parameters
    ----------
    *modules : str
        Entry modules, such as ``pipeline.training.loop``.
    """
    digest = hashlib.sha256()
    for name, path in sorted(import_closure(*modules, leave_out=tuple(HARMLESS)).items()):
        digest.update(f"{name}\n{_code(path, path.stat().st_mtime_ns)}\n".encode())
    return digest.hexdigest()[:16]


def import_closure(*modules: str, leave_out: tuple[str, ...] = ()) -> dict[str, Path]:
    """Return `modules` and the first-party modules they import, directly or indirectly, each with its file.

    Imports count wherever they stand in a file, also inside functions. First-party modules are those with a file below
    :data:`ROOT`.

    Parameters
    ----------
    *modules : str
    leave_out : tuple of str, optional
        Modules and packages that are not followed, and not returned either.

    Raises
    ------
    ModuleNotFoundError
        If one of `modules` has no file.
    """
    closure: dict[str, Path] = {}
    waiting = list(modules)
    for module in modules:
        if _file_of(module) is None:
            raise ModuleNotFoundError(f"{module}: expected a module below {ROOT}")
    while waiting:
        name = waiting.pop()
        path = _file_of(name)
        if path is None or name in closure or any(name == each or name.startswith(f"{each}.") for each in leave_out):
            continue
        closure[name] = path
        waiting += _imports(path, path.stat().st_mtime_ns)
    return closure


def _file_of(module: str) -> Path | None:
    place = ROOT.joinpath(*module.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


@cache
def _imports(path: Path, _modified: int) -> frozenset[str]:
    """Return every name that a file may import as a module: each module, the packages above it, and its members."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{path}: a relative import"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            found |= {".".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
    return frozenset(found)


@cache
def _code(path: Path, _modified: int) -> str:
    """Return what a file does, without comments, texts that stand alone (docstrings are such) and layout."""
    return ast.dump(_WithoutTexts().visit(ast.parse(path.read_bytes())))


class _WithoutTexts(ast.NodeTransformer):
    """Drops the statements that are nothing but a text."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node
