"""Calls that are put off: a row each, which whatever runs jobs claims, and a channel of its own."""
