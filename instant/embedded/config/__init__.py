"""The server's config: read, checked, and every default filled in."""
