"""Whatever is sent to the gateway; make soak SOAK=gateway sends 20,000."""

from collections import Counter

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, given, settings

from tests.views.gateway_fuzzing import INSTANT, SENDERS, Site, requests

pytestmark = pytest.mark.django_db


@pytest.fixture
def site(registry):
    with override_settings(INSTANT=INSTANT):
        yield Site()


@pytest.mark.slow
def test_nothing_is_a_500_and_nobody_gets_further_than_they_may(site):
    found = Counter()

    @settings(max_examples=400, suppress_health_check=list(HealthCheck))
    @given(requests())
    def play(asked):
        found[site.play(asked)[:3]] += 1

    play()
    assert {"200", "400", "403", "404"} <= found.keys(), found


def test_a_hole_would_be_found(site, monkeypatch):
    """Without the cross-site check another site's page gets in, and it is seen."""
    asked = {
        "method": "open", "body": (b"{}", "application/json"), "headers": SENDERS[-1],
        "length": None, "session": None, "over": "wsgi",
    }  # fmt: skip
    assert site.play(asked) == "403 application/json"
    monkeypatch.setattr("instant.views.endpoint.check_site", lambda *_, **__: None)
    with pytest.raises(AssertionError, match="another site's page"):
        site.play(asked)
