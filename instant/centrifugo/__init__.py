"""Everything that knows Centrifugo's protocol and config. Imports no Django models or settings."""
