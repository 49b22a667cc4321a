"""Whatever is sent to the gateway; make soak SOAK=gateway sends 20,000."""

from collections import Counter

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, Phase, given, settings

from tests.views.gateway_fuzzing import INSTANT, Site, requests

pytestmark = pytest.mark.django_db


@pytest.fixture
def site(registry):
    with override_settings(INSTANT=INSTANT):
        yield Site()


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
    monkeypatch.setattr("instant.views.endpoint.check_site", lambda *_, **__: None)

    @settings(
        max_examples=400, suppress_health_check=list(HealthCheck), database=None,
        phases=[Phase.generate], report_multiple_bugs=False,
    )  # fmt: skip
    @given(requests())
    def play(asked):
        site.play(asked)

    with pytest.raises(AssertionError):
        play()
