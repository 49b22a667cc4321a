"""From a payload to arguments: by annotation, and an error that names the field."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel
from typing_extensions import TypedDict

from instant.handlers import Refused
from instant.inbound.arguments import Arguments


def read(function, data, of_channel=(), **kwargs):
    return Arguments(function, of_channel).read(data, kwargs)


def fields(function, data):
    with pytest.raises(Refused) as caught:
        read(function, data)
    assert caught.value.code == 422
    for name in caught.value.fields:
        assert name in str(caught.value)
    return caught.value.fields


def test_parameters_by_name():
    def add(call, product: int, when: date, quantity: int = 1): ...

    assert read(add, {"product": 7, "when": "2026-11-26"}) == {
        "product": 7, "when": date(2026, 11, 26),
    }  # fmt: skip
    assert set(fields(add, {"product": "seven", "extra": 1})) == {"product", "when", "extra"}
    assert fields(add, None).keys() == {"product", "when"}
    assert fields(add, [1]).keys() == {"data"}


def test_what_takes_nothing_is_given_nothing():
    assert read(lambda call: None, {"whatever": 1}) == {}
    assert read(lambda call: None, 5) == {}


def test_without_an_annotation_any_value_will_do():
    assert read(lambda call, a: None, {"a": [1, {"b": None}]}) == {"a": [1, {"b": None}]}


def test_whoever_takes_the_rest_gets_it():
    def save(call, title: str, **rest): ...

    assert read(save, {"title": "t", "more": 1}) == {"title": "t", "more": 1}


class Lines(TypedDict):
    lines: list[int]


@dataclass
class Point:
    x: int
    y: int = 0


class Order(BaseModel):
    number: int


def test_a_single_record_is_the_whole_payload():
    def dataclassed(call, point: Point): ...
    def typed(call, given: Lines): ...
    def model(call, order: Order): ...
    def both(call, order: Order, point: Point): ...

    assert read(dataclassed, {"x": "1"}) == {"point": Point(1)}
    assert read(typed, {"lines": ["1"]}) == {"given": {"lines": [1]}}
    assert read(model, {"number": 3}) == {"order": Order(number=3)}
    assert read(both, {"order": {"number": 1}, "point": {"x": 2}}) == {
        "order": Order(number=1), "point": Point(2),
    }  # fmt: skip
    assert fields(typed, {"lines": [1, "x"]}).keys() == {"lines.1"}


def test_data_is_the_whole_payload_of_any_type():
    def total(call, data: list[int]): ...

    assert read(total, [1, 2]) == {"data": [1, 2]}
    assert fields(total, ["x"]).keys() == {"0"}


def test_a_channels_arguments_are_not_the_payloads():
    def moderate(call, pk, text: str): ...

    assert read(moderate, {"text": "hi"}, {"pk", "other"}, pk=4, other=1) == {"pk": 4, "text": "hi"}
    with pytest.raises(Refused, match="pk: is not expected"):
        read(moderate, {"text": "hi", "pk": 9}, {"pk"}, pk=4)


def test_annotations_as_text():
    def add(call, product: "int"): ...

    assert read(add, {"product": "7"}) == {"product": 7}


def test_a_validator_says_it_in_its_own_words():
    def small(value):
        if value > 3:
            raise ValueError("only 3 are left")
        return value

    def add(call, quantity: Annotated[int, AfterValidator(small)]): ...

    assert fields(add, {"quantity": 7}) == {"quantity": "only 3 are left"}


def test_a_handler_says_what_is_wrong_with_a_field():
    refused = Refused(422, fields={"quantity": "only 3 are left", "size": "sold out"})
    assert str(refused) == refused.message == "quantity: only 3 are left; size: sold out"
    assert str(Refused(422, "in other words", fields={"a": "b"})) == "in other words"
    assert Refused().message == "permission denied"


def test_many_errors_are_not_all_told():
    def take(call, **rest: int): ...
    def exact(call): ...

    def many(call, a: int, b: int, c: int, d: int, e: int, f: int, g: int): ...

    with pytest.raises(Refused, match="; and 2 more$"):
        read(many, {})


def test_what_is_wrong_with_annotations_is_told():
    def unreadable(call, a: "Nowhere"): ...  # noqa: F821

    assert "Nowhere" in next(Arguments(unreadable).problems())
    assert list(Arguments(read).problems()) == []
