"""Text that grows while pages show it: written by Django, kept whole, continued by a reload."""
