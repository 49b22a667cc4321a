"""Centrifugo's binary: found, installed and run."""
