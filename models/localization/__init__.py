"""Networks of audio-visual event localization, the blocks they share, and their losses."""
