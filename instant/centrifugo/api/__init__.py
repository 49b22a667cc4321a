"""Centrifugo's HTTP API: bodies, answers and connections."""
