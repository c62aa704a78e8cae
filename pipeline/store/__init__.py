"""What lies on disk between two stages: manifest, shards, ledgers, attention maps, arrays one per clip."""
