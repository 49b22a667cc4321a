import asyncio

import pytest
from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http import HttpResponse
from django.test import RequestFactory

from instant.middleware import TabMiddleware, current_tab


def request(tab=None):
    headers = {} if tab is None else {"X-Instant-Tab": tab}
    return RequestFactory().get("/", headers=headers)


def view(_request):
    return HttpResponse(repr(current_tab()))


def answer(tab=None):
    return TabMiddleware(view)(request(tab)).content.decode()


def test_the_tab_is_known_during_the_request_and_not_after_it():
    assert answer("0123abcDEF_-") == "'0123abcDEF_-'"
    assert current_tab() is None


def test_a_request_without_the_header_has_none():
    assert answer() == "None"


@pytest.mark.parametrize("tab", ["", "a b", "a\nb", "é", "x" * 65, "<script>", "a,b", "١"])
def test_what_is_no_plain_name_counts_as_none(tab):
    assert answer(tab) == "None"


def test_it_is_forgotten_when_the_view_raises():
    def broken(_request):
        raise LookupError(current_tab())

    with pytest.raises(LookupError, match="tab-1"):
        TabMiddleware(broken)(request("tab-1"))
    assert current_tab() is None


def test_an_inner_request_has_its_own_and_gives_the_outer_one_back():
    def outer(_request):
        inner = TabMiddleware(view)(request("inner")).content.decode()
        return HttpResponse(f"{inner} {current_tab()!r}")

    assert TabMiddleware(outer)(request("outer")).content.decode() == "'inner' 'outer'"


async def test_async_requests_at_once_have_one_each():
    both = asyncio.Barrier(2)

    async def view(_request):
        await both.wait()
        here, in_a_thread = current_tab(), await sync_to_async(current_tab)()
        return HttpResponse(f"{here} {in_a_thread}")

    middleware = TabMiddleware(view)
    assert iscoroutinefunction(middleware)
    responses = await asyncio.gather(middleware(request("one")), middleware(request("two")))
    assert [response.content.decode() for response in responses] == ["one one", "two two"]
    assert current_tab() is None


def test_a_sync_one_is_no_coroutine_function():
    assert not iscoroutinefunction(TabMiddleware(view))
