"""Templates of pages that need nothing but themselves. Names in them come from data sets and are never trusted."""

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


def load_template(package: str, folder: str, name: str, **filters: Callable[..., Any]) -> Template:
    """Return a template that escapes all it is given and refuses names it is not given.

    Parameters
    ----------
    package, folder, name : str
        File `name` in `folder` of a package: ``"pipeline"``, ``"report"``, ``"report.html.j2"``.
    **filters : callable
        For the template, by name.
    """
    environment = Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(name)
