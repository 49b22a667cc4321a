"""What is repeated until it is worth believing: ``make soak``."""
