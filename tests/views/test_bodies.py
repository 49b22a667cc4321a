"""Bodies that are too large, have no length, or lie about it; over WSGI and ASGI."""

import io

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, UnreadablePostError
from django.test import override_settings

from instant.views import identity

pytestmark = pytest.mark.django_db
LIMIT = 64 * 1024
NAMES = b'{"channels": ["public"]}'


class Counted(io.BytesIO):
    """A stream that knows how much was read of it."""

    taken = 0

    def read(self, size=-1):
        data = super().read(size)
        self.taken += len(data)
        return data


class Broken(Counted):
    """A client that goes away."""

    def read(self, size=-1):
        raise OSError("gone")


def over_asgi(body, length, kind=b"application/json"):
    headers = [(b"host", b"testserver"), (b"sec-fetch-site", b"same-origin")]
    headers += [(b"content-type", kind)] if kind else []
    headers += [(b"content-length", length.encode())] if length is not None else []
    scope = {
        "type": "http", "method": "POST", "path": "/instant/subscribe/", "headers": headers,
        "query_string": b"", "scheme": "http", "server": ("testserver", 80),
    }  # fmt: skip
    return ASGIRequest(scope, body)


def over_wsgi(body, length, kind=b"application/json"):
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/instant/subscribe/", "wsgi.input": body,
        "SERVER_NAME": "testserver", "SERVER_PORT": "80", "HTTP_HOST": "testserver",
        "HTTP_SEC_FETCH_SITE": "same-origin", "wsgi.url_scheme": "http",
    }  # fmt: skip
    environ |= {"CONTENT_TYPE": kind.decode()} if kind else {}
    environ |= (
        {"CONTENT_LENGTH": length} if length is not None else {"HTTP_TRANSFER_ENCODING": "chunked"}
    )
    return WSGIRequest(environ)


def answer(request):
    request.user = AnonymousUser()
    request.session = {}
    return identity.subscribe(request).status_code


def padded(size):
    return NAMES[:-1] + b" " * (size - len(NAMES)) + b"}"


@pytest.mark.parametrize(
    ("size", "length", "asgi", "wsgi"),
    [
        (len(NAMES), "right", 200, 200),
        (LIMIT, "right", 200, 200),
        (LIMIT + 1, "right", 400, 400),
        (3_000_000, "right", 400, 400),
        # Chunks: Django reads none of them over WSGI, all over ASGI.
        (len(NAMES), None, 200, 200),
        (LIMIT, None, 200, 200),
        (LIMIT + 1, None, 400, 200),
        (3_000_000, None, 400, 200),
        (3_000_000, "", 400, 200),
        # Lies.
        (3_000_000, "0", 400, 200),
        (3_000_000, str(len(NAMES)), 400, 400),  # over WSGI: JSON that breaks off
        (len(NAMES), "65536", 200, 200),
        (len(NAMES), "65537", 400, 400),
        (len(NAMES), "99999999999999999999", 400, 400),
        (len(NAMES), "9" * 5000, 400, 400),  # int() refuses so many digits
        (len(NAMES), "-1", 400, 400),
        (len(NAMES), "1e3", 400, 400),
        (len(NAMES), "24, 24", 400, 400),
        (len(NAMES), "٢٤", 400, 400),
    ],
)
@pytest.mark.parametrize("site_limit", [None, 2_621_440])
def test_sizes(size, length, asgi, wsgi, site_limit):
    length = str(size) if length == "right" else length
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=site_limit):
        for make, status in ((over_asgi, asgi), (over_wsgi, wsgi)):
            if make is over_asgi and length is not None and not length.isascii():
                continue  # no header
            body = Counted(padded(size))
            assert answer(make(body, length)) == status, make
            assert body.taken <= LIMIT + 1  # never more in memory, whatever was sent


@pytest.mark.parametrize("make", [over_asgi, over_wsgi])
def test_the_sites_own_limit_counts_where_it_is_lower(make):
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=30):
        assert answer(make(io.BytesIO(padded(30)), "30")) == 200
        assert answer(make(io.BytesIO(padded(31)), "31")) == 400
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=30):
        body = Counted(padded(5000))
        assert answer(over_asgi(body, None)) == 400
        assert body.taken <= 31


@pytest.mark.parametrize("make", [over_asgi, over_wsgi])
def test_a_client_that_goes_away(make):
    assert answer(make(Broken(), "24")) == 400
    request = make(Broken(), "24")
    with pytest.raises(UnreadablePostError):
        HttpRequest.read(request)


@pytest.mark.parametrize("make", [over_asgi, over_wsgi])
def test_what_was_read_can_be_read_again(make):
    """By a middleware, or by what reports an error."""
    request = make(io.BytesIO(NAMES), str(len(NAMES)))
    assert answer(request) == 200
    assert request.body == NAMES
    assert not request.POST
    early = make(io.BytesIO(NAMES), str(len(NAMES)))
    assert early.body == NAMES
    assert answer(early) == 200


@pytest.mark.parametrize("make", [over_asgi, over_wsgi])
@pytest.mark.parametrize(
    "kind",
    [b"text/plain", b"multipart/form-data; boundary=x", b"application/x-www-form-urlencoded", b""],
)
def test_another_content_type(make, kind):
    assert answer(make(io.BytesIO(NAMES), str(len(NAMES)), kind)) == 400
    assert answer(make(io.BytesIO(), "0", kind)) == 200  # nothing is said
