"""Whatever is sent over gRPC; make soak SOAK=gateway sends 20,000."""

from collections import Counter

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, given, settings

from tests.inbound.rpc_server.fuzzing import messages, metadata, play
from tests.views.gateway_fuzzing import INSTANT, Site

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("registry")]


@pytest.mark.slow
def test_nobody_gets_further_than_they_may():
    counted = Counter()
    with override_settings(INSTANT=INSTANT):
        site = Site()

        @settings(max_examples=300, suppress_health_check=list(HealthCheck))
        @given(metadata, messages())
        def try_it(found, message):
            counted[play(site, found, *message)] += 1

        try_it()
    assert {"OK", "UNAUTHENTICATED", "INVALID_ARGUMENT", "NOT_FOUND"} <= counted.keys(), counted
