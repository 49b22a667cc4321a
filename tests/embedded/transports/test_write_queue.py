import asyncio

from instant.embedded.transports.write_queue import FLUSH_BATCH, WriteQueue


async def test_a_fan_out_leaves_the_loop_to_others():
    written = []

    class Connection:
        def flush(self):
            written.append(self)

    queue = WriteQueue(asyncio.get_running_loop())
    for _ in range(3 * FLUSH_BATCH):
        queue.add(Connection())
    assert written == []
    seen = []
    while len(written) < 3 * FLUSH_BATCH:
        await asyncio.sleep(0)
        seen.append(len(written))
    assert seen[0] <= FLUSH_BATCH
    assert seen[1] <= 2 * FLUSH_BATCH
