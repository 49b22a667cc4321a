"""The site that calls are measured at: one function, as a handler and as a view."""
