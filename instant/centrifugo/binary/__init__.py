"""Centrifugo's binary: install it, find it and run it."""
