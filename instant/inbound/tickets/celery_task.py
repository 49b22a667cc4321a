"""
The task that Celery's workers run; the extra ``[celery]``.

``acks_late``, so that a message whose worker dies comes again. Celery's priorities go from 0 to
9: 0 is the highest on Redis, 9 on RabbitMQ.
"""

from __future__ import annotations

from celery import current_app, shared_task

from instant.inbound.tickets import work

__all__ = ["run_job", "send"]

_STEPS = 9
_LOWEST, _HIGHEST = -100, 100


@shared_task(  # type: ignore[untyped-decorator]
    name="instant.run_job", acks_late=True, reject_on_worker_lost=True, ignore_result=True
)
def run_job(tenant: str, queue: str) -> bool:
    """Run the most urgent job of a queue."""
    return work.run_next(tenant, [queue])


def send(tenant: str, queue: str, priority: int) -> None:
    """Wake a worker that has Celery's queue of the same name."""
    step = round((priority - _LOWEST) * _STEPS / (_HIGHEST - _LOWEST))
    with current_app.connection_for_write() as connection:
        is_redis = connection.transport.driver_type == "redis"
    run_job.apply_async(
        (tenant, queue), queue=queue, priority=_STEPS - step if is_redis else step, retry=False
    )
