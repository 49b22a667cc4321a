"""Tenants (``INSTANT["TENANT"]``): which it is, and what its names are on the server."""
