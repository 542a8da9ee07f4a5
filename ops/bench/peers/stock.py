"""Stock Dramatiq on Redis as it comes: the `dramatiq` command runs this module. Keeps no record.

`began` writes down on Redis when it began, on the clock that all processes of a machine share.
"""

import os
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from ops.bench.peers import BEGAN, STOCK

broker = RedisBroker(url=os.environ["REDIS_URL"], namespace=STOCK)  # type: ignore[no-untyped-call]
dramatiq.set_broker(broker)


@dramatiq.actor
def noop(_number: int) -> None:
    """Do nothing."""


@dramatiq.actor
def began(number: int) -> None:
    """Write down when this began."""
    at = time.monotonic()
    broker.client.hset(BEGAN, str(number), str(at))
