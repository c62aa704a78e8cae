"""The version, in this one place: ``pyproject.toml`` reads it, a test holds CITATION.cff and CHANGELOG.md to it."""

__version__ = "0.1.0"
