"""The feature networks, one file each: its facts, published weights and network; nothing needs torch."""
