"""The HTTP API: what Django, scripts and operators ask of the server."""
