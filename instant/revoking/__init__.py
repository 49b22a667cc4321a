"""Rights that end: enforced on the connections that are open."""
