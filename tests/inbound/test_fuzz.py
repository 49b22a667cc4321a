"""Some hundreds of ``make soak SOAK=fuzz``."""

from collections import Counter

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.inbound.asking import SECRET
from tests.inbound.fuzzing import Site

pytestmark = pytest.mark.django_db


@pytest.fixture
def site(registry, caplog):
    caplog.set_level("CRITICAL")
    with override_settings(CENTRIFUGO_PROXY_SECRET=SECRET):
        yield Site()


@pytest.mark.slow
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_nothing_is_allowed_by_accident(site, data):
    site.play(*data.draw(site.requests))


def test_what_is_sent_gets_through(site):
    """Else the test above would show nothing: whoever may is allowed."""
    ann = str(site.ann.pk)
    found = Counter(
        site.play(kind, SECRET, "POST", raw)
        for kind, raw in [
            ("rpc", f'{{"user": "{ann}", "method": "users"}}'),
            ("rpc", '{"user": "", "method": "typed", "data": {"n": 1}}'),
            ("publish", f'{{"user": "{ann}", "channel": "room:1", "data": {{"a": 1}}}}'),
            ("publish", f'{{"user": "{ann}", "channel": "plain:1", "data": {{}}}}'),
            ("subscribe", f'{{"user": "{ann}", "channel": "hall:1"}}'),
            ("sub_refresh", f'{{"user": "{ann}", "channel": "room:1"}}'),
        ]
    )
    assert found == {
        "rpc allowed": 2, "publish allowed": 2, "subscribe allowed": 1, "sub_refresh allowed": 1,
    }  # fmt: skip
