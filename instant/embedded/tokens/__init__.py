"""Tokens of connections and subscriptions, and the keys that sign them."""
