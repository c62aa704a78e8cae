"""What the code imports against what ``pyproject.toml`` promises to install."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", name)[0]).lower()


def imported_packages(folder: str) -> set[str]:
    names = set()
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return (
        names - set(sys.stdlib_module_names) - {"pipeline", "models", "stages", "benchmarks", "tests", "avel_testing"}
    )


@pytest.mark.parametrize(
    ("folder", "extras"),
    [("pipeline", ("ray",)), ("models", ()), ("stages", ()), ("benchmarks", ()), ("tests", ("ray", "dev"))],
)
def test_every_import_is_a_declared_dependency(folder: str, extras: tuple[str, ...]) -> None:
    """A package that comes only with another one is gone when that one drops it."""
    declared = {normalised(entry) for entry in PROJECT["dependencies"]}
    for extra in extras:
        declared |= {normalised(entry) for entry in PROJECT["optional-dependencies"][extra]}
    distributions = packages_distributions()
    for package in imported_packages(folder):
        assert {normalised(name) for name in distributions.get(package, [package])} & declared, package


def test_every_declared_dependency_is_locked_by_hash() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    locked = {normalised(line) for line in lock.splitlines() if "==" in line}
    extras = PROJECT["optional-dependencies"].values()
    wanted = {normalised(entry) for entries in (PROJECT["dependencies"], *extras) for entry in entries}
    assert wanted - {normalised(PROJECT["name"])} <= locked
    assert lock.count("--hash=sha256:") >= len(locked)
    assert "://" not in lock, "an index address"
