"""config.json: what must be in it, and what Django reads from it."""
