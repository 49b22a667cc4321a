"""The server's config.json: what Instant writes into it, and what Django reads from it."""
