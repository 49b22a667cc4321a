"""Measurements, side by side and in one run; see README, “Measured”."""
