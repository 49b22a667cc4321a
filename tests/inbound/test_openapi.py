"""The document of the gateway: valid, complete, and true."""

import io
import json
from dataclasses import dataclass
from datetime import date

import pytest
from django.core.management import CommandError, call_command
from django.test import Client, override_settings
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from instant import on_rpc
from instant.handlers import Policy

pytestmark = pytest.mark.django_db


class Line(BaseModel):
    product: int = Field(gt=0)
    quantity: int = 1


class Opaque:
    pass


def shipping():
    @dataclass
    class Line:
        weight: float

    return Line


Shipped = shipping()


class Note(TypedDict):
    text: str


class Total(BaseModel):
    total: int
    on: date


class Slow(Policy):
    pass


@pytest.fixture
def shop(registry):
    @on_rpc("cart.add")
    def add(call, lines: list[Line], note: str | None = None) -> Total:
        """
        Add to the cart.

        More of it.
        """
        return Total(total=sum(line.quantity for line in lines), on=date(2026, 1, 2))

    @on_rpc("ship", policies=[Slow()])
    def ship(call, parcel: Shipped) -> Shipped:
        return parcel

    @on_rpc("note", anonymous=True)
    async def note(call, data: Note) -> Note:
        return data

    @on_rpc("report.*")
    def report(call, year: int, **more):
        return {"year": year}

    @on_rpc("opaque")
    def opaque(call, thing: Opaque = None) -> Opaque:
        return None

    @on_rpc("nothing")
    def nothing(call) -> None:
        pass


def printed(*arguments, gateway=True):
    said, warned = io.StringIO(), io.StringIO()
    authentication = ["tests.views.authenticators.bearer"]
    instant = {"DIR": "/nonexistent", "GATEWAY": gateway, "AUTHENTICATION": authentication}
    with override_settings(INSTANT=instant):
        call_command("openapi", *arguments, stdout=said, stderr=warned)
    return json.loads(said.getvalue()), warned.getvalue()


@pytest.fixture
def made(shop):
    document, warned = printed()
    assert not warned
    return document


def test_it_is_valid(made):
    assert list(OpenAPIV31SpecValidator(made).iter_errors()) == []


def test_the_validator_finds_faults(made):
    made["paths"]["/x"] = {"post": {"responses": {"200": {}}}}
    assert list(OpenAPIV31SpecValidator(made).iter_errors())


def test_what_it_says(made):
    assert made["info"] == {"title": "Tests", "version": "1"}
    assert set(made["paths"]) == {
        f"/instant/rpc/{name}/"
        for name in ("cart.add", "ship", "note", "report.{rest}", "opaque", "nothing")
    }
    add = made["paths"]["/instant/rpc/cart.add/"]["post"]
    assert (add["summary"], add["description"]) == ("Add to the cart.", "More of it.")
    assert add["security"] == [{"credentials": []}, {"session": []}]
    assert {} in made["paths"]["/instant/rpc/note/"]["post"]["security"]
    assert "requestBody" not in made["paths"]["/instant/rpc/nothing/"]["post"]
    assert made["paths"]["/instant/rpc/ship/"]["post"]["x-instant-policies"] == ["slow"]
    [rest] = made["paths"]["/instant/rpc/report.{rest}/"]["parameters"]
    assert (rest["name"], rest["in"]) == ("rest", "path")
    # Two classes of one name don't become one.
    lines = [name for name in made["components"]["schemas"] if name.endswith("Line")]
    assert [name.partition("test_openapi__")[2] for name in lines] == [
        "Line", "shipping___locals___Line",
    ]  # fmt: skip
    assert add["requestBody"]["required"]
    assert "required" not in made["paths"]["/instant/rpc/opaque/"]["post"]["requestBody"]


def validator(document, schema):
    """Return a validator that finds in the document what the schema refers to."""
    return OAS31Validator({**schema, "components": document["components"]})


CALLS = {
    "cart.add": ({"lines": [{"product": 7}]}, {"lines": [{"product": 0}]}),
    "ship": ({"weight": 1.5}, {"weight": "heavy"}),
    "note": ({"text": "x"}, {"text": 1}),
    "report.{rest}": ({"year": 2026, "more": [1]}, {"year": "x"}),
    "opaque": (None, {"another": 1}),
    "nothing": (None, None),
}


@pytest.mark.parametrize("name", CALLS)
def test_it_is_true(made, make_user, name, settings):
    """Each method is called as it says: what it allows is answered as it says, and nothing else."""
    make_user("ann")
    settings.INSTANT = {
        **settings.INSTANT, "GATEWAY": True, "AUTHENTICATION": ["tests.views.authenticators.bearer"],
    }  # fmt: skip
    path = f"/instant/rpc/{name}/"
    operation = made["paths"][path]["post"]
    for payload, right in zip(CALLS[name], (True, False), strict=True):
        if payload is not None:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            told = validator(made, schema).is_valid(payload)
            assert told == right or name == "opaque"
        response = Client(headers={"Authorization": "Bearer ann"}).post(
            path.replace("{rest}", "2026"),
            b"" if payload is None else json.dumps(payload),
            content_type="application/json",
        )
        assert response.status_code == (200 if right or payload is None else 422)
        responses = operation["responses"]
        shown = responses.get(str(response.status_code), responses["default"])
        answers = shown["content"]["application/json"]["schema"]
        validator(made, answers).validate(response.json())
    assert not validator(made, answers).is_valid({})


def test_a_queued_method_answers_with_a_ticket(registry, make_user, settings):
    @on_rpc("report.build", queue="bulk")
    def build(call, year: int) -> Total:
        return Total(total=1, on=date(year, 1, 2))

    make_user("ann")
    document, _ = printed()
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    assert "/instant/rpc/instant.ticket/" in document["paths"]
    settings.INSTANT = {
        **settings.INSTANT, "GATEWAY": True, "AUTHENTICATION": ["tests.views.authenticators.bearer"],
    }  # fmt: skip
    path = "/instant/rpc/report.build/"
    answered = Client(headers={"Authorization": "Bearer ann"}).post(
        path, {"year": 2026}, content_type="application/json"
    )
    operation = document["paths"][path]["post"]
    shown = operation["responses"]["200"]["content"]["application/json"]["schema"]
    validator(document, shown).validate(answered.json())
    assert not validator(document, shown).is_valid({"data": {"total": 1, "on": "2026-01-02"}})
    result = validator(document, operation["x-instant-result"])
    result.validate({"total": 1, "on": "2026-01-02"})
    assert not result.is_valid({"total": "x"})


def test_without_the_gateway_it_says_so(registry):
    document, warned = printed("--title", "Shop", "--api-version", "2.1", "--url", "https://x.example/", gateway=False)  # fmt: skip
    assert "GATEWAY" in warned
    assert (document["info"], document["paths"]) == ({"title": "Shop", "version": "2.1"}, {})
    assert document["servers"] == [{"url": "https://x.example"}]
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_a_site_without_the_urls(registry):
    urls = type("Urls", (), {"urlpatterns": []})
    with override_settings(ROOT_URLCONF=urls), pytest.raises(CommandError, match="include"):
        printed()


def test_functions_of_one_name_are_told_apart_by_their_app(registry):
    """Whoever generates a client has these names in code."""

    def function(module, kind):
        def add(call, x: kind): ...

        add.__module__ = module
        return add

    on_rpc("cart.add")(function("cart.realtime", int))
    on_rpc("notes.add")(function("notes.realtime", str))
    with override_settings(INSTANT={"GATEWAY": True}):
        out = io.StringIO()
        call_command("openapi", stdout=out)
    made = json.loads(out.getvalue())["components"]["schemas"]
    assert [name for name in made if "add" in name] == [
        "cart__realtime__add_arguments", "notes__realtime__add_arguments",
    ]  # fmt: skip
