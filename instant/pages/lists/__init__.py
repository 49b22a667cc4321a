"""Lists in pages that follow a queryset: rows enter, leave, move and change."""
