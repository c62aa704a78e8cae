"""Audio-visual event localization, from raw videos to scores: everything but the networks (see ``models``)."""
