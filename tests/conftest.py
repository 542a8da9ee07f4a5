"""What every test gets: no network but this machine's, and embedded servers made by this run."""

import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from config.servers import ServerUrls
from db.transaction import Database
from ops.local import Servers, running
from tests.database import emptied, prepare
from worker.bells.ringing import Bells

_HERE = ("127.", "::1", "localhost")


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def check(line: socket.socket, address: object) -> None:
        if line.family == socket.AF_UNIX:
            return
        host = str(address[0]) if isinstance(address, tuple) else str(address)
        if not host.startswith(_HERE):
            raise PermissionError(f"a test reached for the network: {address}")

    def checked(line: socket.socket, address: str | tuple[object, ...]) -> None:
        check(line, address)
        connect(line, address)

    def checked_ex(line: socket.socket, address: str | tuple[object, ...]) -> int:
        check(line, address)
        return connect_ex(line, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", checked)
        patch.setattr(socket.socket, "connect_ex", checked_ex)
        yield


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """One Postgres and one Valkey for each worker of the test run, in a short folder of their own."""
    with (
        tempfile.TemporaryDirectory(prefix="muhurat-", ignore_cleanup_errors=True) as folder,
        running(Path(folder), durable=False) as addresses,
    ):
        yield addresses


@pytest.fixture(scope="session")
def urls(servers: Servers) -> ServerUrls:
    """The addresses of a database at the code's schema and of a Redis."""
    addresses = ServerUrls(servers.database_url, servers.redis_url)
    prepare(addresses)
    return addresses


@pytest.fixture
async def database(urls: ServerUrls) -> AsyncIterator[Database]:
    """An empty database with the default schedules and the calendar; Redis is empty too."""
    async with emptied(urls) as fresh:
        yield fresh


@pytest.fixture
async def bells(urls: ServerUrls) -> AsyncIterator[Bells]:
    """Bells on the test run's Redis."""
    rung = Bells(urls.redis)
    yield rung
    await rung.close()
