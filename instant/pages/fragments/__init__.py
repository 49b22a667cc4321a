"""{% live %}: parts of a page that are shown again when their object changes."""
