"""Measurements, side by side and in one run; see docs/measurements.md."""
