"""Requests of a page that a test lets go itself."""


class Held:
    """
    Stop the requests of a page whose address fits ``pattern``.

    A page may look as if it had asked before its request has come here, so ``first()`` waits for it.
    """

    def __init__(self, page, pattern):
        self._page = page
        self._routes = []
        page.route(pattern, lambda route: self._routes.append(route))  # noqa: PLW0108  no builtin

    def first(self):
        while not self._routes:
            # Playwright calls back only while it is waited for.
            self._page.wait_for_timeout(20)
        return self._routes[0]
