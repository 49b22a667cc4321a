"""The grammar of channel names."""
