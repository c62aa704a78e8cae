"""Audio-visual event localization, from raw videos to scores: everything but the networks (see ``models``)."""

from pipeline.core.version import __version__

__all__ = ["__version__"]
