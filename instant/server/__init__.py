"""Which message server runs, and how its config follows the declarations in Python."""
