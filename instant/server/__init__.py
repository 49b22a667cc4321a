"""Which message server runs, and how its config is kept in line."""
