"""What asks database and server does not do so on the thread of an event loop."""

import pytest
from django.core.exceptions import SynchronousOnlyOperation

from instant import Namespace, enforcement


async def test_asking_again_names_its_async_twin(registry):
    """Also where no server is reached, as in a test, and there would be nothing to do."""

    class Orders(Namespace):
        name, pattern = "order", "<int:pk>"

    with pytest.raises(SynchronousOnlyOperation, match=r"await arecheck\(…\)"):
        enforcement.recheck("order:7")
    with pytest.raises(SynchronousOnlyOperation, match=r"await arecheck\(…\)"):
        Orders.recheck(pk=7)
    with pytest.raises(SynchronousOnlyOperation, match=r"await arevoke\(…\)"):
        enforcement.revoke(7, "order:7")


async def test_the_twins_are_for_that(registry):
    """And find nothing to do here, where no server is reached."""
    await enforcement.arecheck("order:7")
    await enforcement.arevoke(7, "order:7")
