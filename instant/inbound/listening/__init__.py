"""Python that receives what is published: listen() and the functions that runlisteners calls."""
