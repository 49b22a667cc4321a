import math

import pytest

from instant.embedded.config import weak_types


@pytest.mark.parametrize(
    ("text", "value"),
    [("25s", 25), ("300ms", 0.3), ("1m", 60), ("720h", 2592000), ("1h2m3s", 3723), ("1.5s", 1.5), ("0", 0), ("0s", 0), ("-0", 0), ("-1s", -1), ("+5s", 5), (".5s", 0.5), ("5.s", 5), ("5us", 5e-6), ("5\u00b5s", 5e-6), ("5\u03bcs", 5e-6), ("7ns", 7e-9), ("1.5ns", 1e-9), (300, 3e-7), (5_000_000_000, 5), (1.5, 1e-9), (True, 1e-9), (False, 0)],
)  # fmt: skip
def test_durations(text, value):
    assert weak_types.duration(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    ["", "5", "s", "5x", "1s2", "1 s", " 5s", "5s ", "5S", "1d", ".s", "--5s", "1e3s", "\u0665s", "9999999h", [], None, math.inf, math.nan],
)  # fmt: skip
def test_no_durations(text):
    with pytest.raises(ValueError, match="duration"):
        weak_types.duration(text)


@pytest.mark.parametrize(
    ("given", "value"),
    [(5, 5), (5.7, 5), (-5.7, -5), (True, 1), ("", 0), ("5", 5), ("-5", -5), ("0x10", 16), ("0b11", 3), ("1_000", 1000), ("010", 8), ("0o10", 8)],
)  # fmt: skip
def test_numbers(given, value):
    assert weak_types.number(given) == value


@pytest.mark.parametrize(
    "given",
    [" 5", "5 ", "1.5", "x", "1__0", "08", "\u0665", "9223372036854775808", None, [], {}, math.inf, math.nan],
)  # fmt: skip
def test_no_numbers(given):
    with pytest.raises(ValueError, match="whole number"):
        weak_types.number(given)


@pytest.mark.parametrize(
    ("given", "value"),
    [("x", "x"), (5, "5"), (-5, "-5"), (1.5, "1.5"), (2.0, "2"), (1e30, "1" + "0" * 30), (1e-7, "0.0000001"), (2**63, "9223372036854776000"), (True, "1"), (False, "0")],
)  # fmt: skip
def test_strings(given, value):
    assert weak_types.text(given) == value


@pytest.mark.parametrize("given", [None, [], ["x"], {}, math.inf])
def test_no_strings(given):
    with pytest.raises(ValueError, match="string"):
        weak_types.text(given)


@pytest.mark.parametrize("given", [True, 1, 2, -1, 1.5, "true", "True", "T", "1"])
def test_switches_that_are_on(given):
    assert weak_types.switch(given) is True


@pytest.mark.parametrize("given", [False, 0, 0.0, "", "false", "F", "0"])
def test_switches_that_are_off(given):
    assert weak_types.switch(given) is False


@pytest.mark.parametrize("given", ["yes", "tRUE", [], [True], {}, None])
def test_no_switches(given):
    with pytest.raises(ValueError, match="true or false"):
        weak_types.switch(given)


@pytest.mark.parametrize(
    ("given", "value"),
    [({"a": "b", "c": None, "d": {}}, {"a": "b"}), ([], {}), ([{"key": "a", "value": "b"}], {"a": "b"})],
)  # fmt: skip
def test_maps(given, value):
    assert weak_types.text_map(given) == value


@pytest.mark.parametrize(
    "given",
    ["x", 5, ["x"], {"a": 1}, {"a": ["x"]}, [{"a": "b"}], [{"key": "a"}], [{"key": "a", "value": "b"}] * 2],
)  # fmt: skip
def test_no_maps(given):
    with pytest.raises(ValueError, match="object of strings"):
        weak_types.text_map(given)
