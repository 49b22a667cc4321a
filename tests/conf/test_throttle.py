"""How often something may happen."""

import pytest

from instant.conf.throttle import Rate, parse_limits, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/5m", Rate(10, 300)),
        ("1/s", Rate(1, 1)),
        ("30/90s", Rate(30, 90)),
        ("100/h", Rate(100, 3600)),
        ("1000/d", Rate(1000, 86_400)),
        ("5/24h", Rate(5, 86_400)),
    ],
)
def test_rates(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text",
    [
        "", "10", "10/", "/5m", "0/5m", "10/0m", "-1/5m", "10/5", "10/5w", "10/5min", "1001/m",
        "1/2d", "1/25h", "10/5m ", "10/5m\n", "1٣/5m", "1.5/m", "10 / 5m", 10, (10, 300), None, True,
    ],
)  # fmt: skip
def test_what_is_no_rate(text):
    with pytest.raises(ValueError, match="must be like “10/5m”"):
        parse_rate(text)


@pytest.mark.parametrize("given", [None, False])
def test_switched_off(given):
    assert parse_limits(given) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (True, "must be a dict"),
        ("10/5m", "must be a dict"),
        ([], "must be a dict"),
        (0, "must be a dict"),
        ({"USER": "10/5m"}, "unknown key 'USER'. Known are: ADDRESS, CACHE, NAME, PAIR"),
        ({"PAIR": 10}, "'PAIR' must be like “10/5m”"),
        ({"NAME": "many"}, "'NAME' must be like “10/5m”"),
        ({"ADDRESS": False}, "'ADDRESS' must be like “10/5m”"),
        ({"CACHE": "nowhere"}, "'CACHE' must be a name in CACHES"),
        ({"CACHE": None}, "'CACHE' must be a name in CACHES"),
    ],
)
def test_what_is_refused(given, said):
    with pytest.raises(ValueError) as info:
        parse_limits(given)
    assert said in str(info.value)
