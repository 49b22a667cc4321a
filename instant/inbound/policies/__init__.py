"""What a handler can carry: small objects around the call, composable, tested alone."""
