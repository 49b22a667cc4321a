"""
20,000 requests that no server sends to the endpoints for the server, with and without its secret.

None may end with a 500, reach a handler without the secret, or be allowed what its names don't say.
``make soak SOAK='fuzz 100000'`` tries more.
"""

import logging
from collections import Counter

from django.test.utils import override_settings, setup_databases, teardown_databases
from hypothesis import HealthCheck, Phase, given, settings

EXAMPLES = 20_000


def main(arguments):
    """Play them; return 1 and the smallest that is wrong, if one is."""
    from tests.inbound.asking import SECRET
    from tests.inbound.fuzzing import Site

    examples = int(arguments[0]) if arguments else EXAMPLES
    logging.disable(logging.CRITICAL)
    databases = setup_databases(verbosity=0, interactive=False, aliases={"default"})
    found = Counter()
    try:
        with override_settings(CENTRIFUGO_PROXY_SECRET=SECRET):
            site = Site()

            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            )
            @given(site.requests)
            def play(request):
                found[site.play(*request)] += 1

            play()
    except BaseException as exc:
        if isinstance(exc, KeyboardInterrupt):
            raise
        logging.disable(logging.NOTSET)
        logging.getLogger("soak").exception("fuzz: wrong.")
        return 1
    finally:
        teardown_databases(databases, verbosity=0)
    print(f"{found.total():,} requests:")
    for what, count in sorted(found.items()):
        print(f"  {count:>7,}  {what}")
    missing = {f"{kind} allowed" for kind in ("rpc", "publish", "subscribe")} - found.keys()
    if missing:
        print(f"Nothing was allowed that may be: {', '.join(sorted(missing))}.")
    return int(bool(missing))
