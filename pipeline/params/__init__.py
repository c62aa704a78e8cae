"""``params.yaml``: what each value may be, validated as a whole before any work, and overrides by key."""
