"""Models that tell their channels what becomes of them."""
