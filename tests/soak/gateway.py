"""
20,000 requests to the gateway over HTTP, and 20,000 calls over gRPC, of every wrong kind.

None may end with a 500 or reach a handler whom its caller may not call.
``make soak SOAK='gateway 100000'`` tries more.
"""

import logging
from collections import Counter

from django.test.utils import override_settings, setup_databases, teardown_databases
from hypothesis import HealthCheck, Phase, given, settings

EXAMPLES = 20_000


def main(arguments):
    """Play them; return 1 where one is wrong, after it has been shown."""
    from tests.inbound.rpc_server import fuzzing as of_grpc
    from tests.views import gateway_fuzzing as of_http

    chosen = settings(
        max_examples=int(arguments[0]) if arguments else EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    logging.disable(logging.CRITICAL)
    databases = setup_databases(verbosity=0, interactive=False, aliases={"default"})
    found = Counter()
    try:
        with override_settings(INSTANT=of_http.INSTANT):
            site = of_http.Site()

            @chosen
            @given(of_http.requests())
            def over_http(asked):
                found[f"HTTP {site.play(asked)}"] += 1

            @chosen
            @given(of_grpc.metadata, of_grpc.messages())
            def over_grpc(metadata, message):
                found[f"gRPC {of_grpc.play(site, metadata, *message)}"] += 1

            over_http()
            over_grpc()
    except AssertionError:
        logging.disable(logging.NOTSET)
        logging.getLogger("soak").exception("gateway: wrong.")
        return 1
    finally:
        teardown_databases(databases, verbosity=0)
    print(f"{found.total():,} requests:")
    for what, count in sorted(found.items()):
        print(f"  {count:>7,}  {what}")
    reached = {what.partition(" ")[0] for what in found if " 200" in what or " OK" in what}
    return int(reached != {"HTTP", "gRPC"})
