"""Centrifugo's HTTP API: requests, replies and connections."""
