"""What rows and namespaces grant, and the tokens that say so."""
