"""All that knows Centrifugo's wire and config; no Django models, no settings."""
