"""The version, in this one place: ``pyproject.toml`` reads it, a test holds CITATION.cff and CHANGELOG.md to it.

It does not stand in ``pipeline/__init__.py``, which every stage imports: a release would make every result stale.
"""

__version__ = "0.1.0"
