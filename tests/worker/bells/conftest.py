"""The scripts need Redis alone, empty at the start of each test."""

from collections.abc import AsyncIterator

import pytest

from ops.local import Servers
from worker.bells.ringing import Bells


@pytest.fixture
async def bells(servers: Servers) -> AsyncIterator[Bells]:
    """Bells on an empty Redis."""
    rung = Bells(servers.redis_url)
    await rung.redis.flushall()
    yield rung
    await rung.close()
