"""Which peers are reverse proxies of the site."""

import pytest

from instant.conf.trusted_proxies import parse_proxies


@pytest.mark.parametrize(
    "given",
    ["10.0.0.0/8", 5, {"10.0.0.0/8"}, ["10.0.0.1/8"], ["x"], [5], [None], ["10.0.0.0/33"], [""], ["*"]],
)  # fmt: skip
def test_what_are_no_proxies(given):
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/8"):
        parse_proxies(given)


def test_none_is_no_setting():
    assert parse_proxies(None) is None
