import pytest

from tests.centrifugo.api.pools import Asynchronous, OnUvloop, Synchronous


@pytest.fixture(params=[Synchronous, Asynchronous, OnUvloop])
def pool_to(request):
    made = []

    def make(server):
        made.append(request.param(server.url))
        return made[-1]

    yield make
    for pool in made:
        pool.close()
