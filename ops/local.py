"""Embedded Postgres and Valkey for the demo, development and the tests: one folder, two servers, our children.

Never reads DATABASE_URL or REDIS_URL. The servers end with the process that started them, also after kill -9 (Linux);
elsewhere what was left is stopped at the next start of the same folder.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.local_postgres import Postgres
from ops.local_process import LocalServerError, make_folder
from ops.local_valkey import Valkey

__all__ = ["FOLDER", "FolderInUseError", "LocalServerError", "Servers", "at_hand", "running"]

FOLDER = Path(".muhurat")

_ADDRESSES = "addresses"


class FolderInUseError(LocalServerError):
    """Another process runs the servers of a folder."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses of running servers. database_url: for asyncpg, as a plain role. redis_url: for redis-py."""

    database_url: str
    redis_url: str


@contextmanager
def running(
    folder: Path = FOLDER, *, fresh: bool = False, keep: bool = True, durable: bool = True
) -> Iterator[Servers]:
    """Run both servers on a folder while the context lasts. Enter it in the main thread.

    fresh: empty the folder's data first. keep: leave the data for the next start. durable: survive a crash of the
    machine; tests and the demo do without. Raises LocalServerError: no place to write, folder in use, wheels missing.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would follow links and lengthen socket paths
    make_folder(folder, mode=0o755)
    with ExitStack() as ending:
        ending.enter_context(_held(folder))
        postgres, valkey = Postgres(folder, durable=durable), Valkey(folder, durable=durable)
        if not keep:
            ending.callback(_empty, folder)
        for server in (postgres, valkey):
            ending.callback(server.stop)
            server.stop_leftover()
        if fresh:
            _empty(folder)
        postgres.start()
        valkey.start()
        servers = Servers(postgres.url, valkey.url)
        ending.enter_context(_told(folder, servers))
        yield servers


@contextmanager
def at_hand(folder: Path = FOLDER) -> Iterator[Servers]:
    """Use the servers that another process runs on a folder, or run them while the context lasts.

    Raises LocalServerError.
    """
    with ExitStack() as ending:
        try:
            servers = ending.enter_context(running(folder))
        except FolderInUseError:
            servers = _others(folder)
        yield servers


def _others(folder: Path) -> Servers:
    path = folder / _ADDRESSES
    try:
        database, bell = path.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        raise LocalServerError(
            f"{folder} is in use by a process that has no servers ready: try again in a moment, or stop that one"
        ) from None
    return Servers(database, bell)


@contextmanager
def _told(folder: Path, servers: Servers) -> Iterator[None]:
    """Leave the addresses for other processes of this folder while the servers run."""
    path = folder / _ADDRESSES
    path.write_text(f"{servers.database_url}\n{servers.redis_url}\n", encoding="utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; the lock ends with the process, however it ends."""
    path = folder / "lock"
    try:
        file = path.open("a+")
    except OSError as error:
        raise LocalServerError(
            f"cannot write to {path}: {(error.strerror or str(error)).lower()}; remove it"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise FolderInUseError(
                f"{folder} is in use by process {holder}: stop that one, or work from another folder"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _empty(folder: Path) -> None:
    """Remove what the servers keep. The lock stays: another process may be waiting for it."""
    for name in ("postgres", "postgres.new", "valkey"):
        path = folder / name
        if path.exists():
            shutil.rmtree(path)
    for name in ("postgres.log", "valkey.log"):
        (folder / name).unlink(missing_ok=True)
