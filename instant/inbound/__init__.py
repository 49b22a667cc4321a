"""What browsers and other callers ask of Python: handlers, found by name, with their policies."""
