"""One client, from its first byte to its last: commands in, messages out, and no I/O."""
