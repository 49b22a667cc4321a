"""Two tenants by a ContextVar. They share all tables, so a user has the same primary key in both."""

from contextlib import contextmanager
from contextvars import ContextVar

CURRENT = ContextVar("tests_tenant", default="")


class ContextTenants:
    names = ("acme", "globex")

    def current(self):
        return CURRENT.get()

    def all(self):
        return self.names

    @contextmanager
    def activate(self, name):
        if name not in {"", *self.names}:
            raise LookupError(name)
        token = CURRENT.set(name)
        try:
            yield
        finally:
            CURRENT.reset(token)


instance = ContextTenants()


class WithoutAll:
    def current(self):
        return ""

    def activate(self, name):
        raise NotImplementedError


class FromHeader:
    """A middleware, which knows the tenant by a header of the request's."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        with instance.activate(request.headers.get("X-Tenant", "")):
            return self.get_response(request)
