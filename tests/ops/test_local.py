"""Embedded servers start, answer as a plain role, keep their data, and never outlive the process that made them."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis

from ops.local import LocalServerError, Servers, at_hand, running
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]

_HOLD = """
import sys
from pathlib import Path
from ops import local_process
from ops.local import running
if "--deaf" in sys.argv:
    local_process._LIBC = None
with running(Path(sys.argv[1]), durable=False):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="muhurat-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@contextmanager
def holding(folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run servers on the folder in another process, killed at the end. --deaf: they do not hear of its death."""
    command = [sys.executable, "-c", _HOLD, str(folder), *options]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def living(folder: Path) -> list[int]:
    """Return the servers that run on a folder."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if str(folder) in words and process.info["name"] in {"postgres", "valkey-server"}:
            found.append(process.pid)
    return found


async def ask(servers: Servers, statement: str) -> object:
    connection = await asyncpg.connect(servers.database_url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_both_servers_answer(servers: Servers) -> None:
    assert await ask(servers, "select 1") == 1
    with redis.Redis.from_url(servers.redis_url) as client:
        assert client.ping()


async def test_the_role_is_plain(servers: Servers) -> None:
    statement = "select rolsuper or rolbypassrls from pg_roles where rolname = current_user"
    assert await ask(servers, statement) is False


async def test_servers_listen_on_no_port(servers: Servers) -> None:
    assert await ask(servers, "show listen_addresses") == ""
    with redis.Redis.from_url(servers.redis_url) as client:
        assert client.config_get("port") == {"port": "0"}


async def test_a_second_start_finds_the_data_of_the_first(folder: Path) -> None:
    with running(folder) as first:
        await ask(first, "create table kept ()")
        with redis.Redis.from_url(first.redis_url) as client:
            client.set("kept", "1")
    with running(folder) as second:
        assert await ask(second, "select to_regclass('kept') is not null")
        assert await ask(second, "show fsync") == "on"
        with redis.Redis.from_url(second.redis_url) as client:
            assert client.get("kept") == b"1"


async def test_a_fresh_start_finds_nothing(folder: Path) -> None:
    with running(folder, durable=False) as first:
        await ask(first, "create table kept ()")
    with running(folder, durable=False, fresh=True) as second:
        assert await ask(second, "select to_regclass('kept') is null")


def test_nothing_runs_and_nothing_is_kept_after_the_end_unless_asked(folder: Path) -> None:
    with running(folder, durable=False, keep=False):
        assert len(living(folder)) == 2
    assert living(folder) == []
    assert [path.name for path in folder.iterdir()] == ["lock"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_killed_parent_leaves_no_server_behind(folder: Path) -> None:
    with holding(folder):
        assert len(living(folder)) == 2
    wait_until(lambda: living(folder) == [])


async def test_a_server_left_behind_is_stopped_at_the_next_start(folder: Path) -> None:
    with holding(folder, "--deaf"):
        pass
    left = living(folder)
    assert len(left) == 2
    with running(folder, durable=False) as servers:
        assert await ask(servers, "select 1") == 1
        assert len(living(folder)) == 2
        assert not set(living(folder)) & set(left)


def test_a_folder_in_use_is_refused_by_the_holder_s_number(folder: Path) -> None:
    with holding(folder) as holder:
        with pytest.raises(LocalServerError, match=f"in use by process {holder.pid}"), running(folder):
            pytest.fail("two holders of one folder")
        assert len(living(folder)) == 2


async def test_a_note_of_a_server_that_died_with_its_machine_is_forgotten(folder: Path) -> None:
    with running(folder, durable=False):
        pass
    note = folder / "postgres" / "postmaster.pid"
    note.write_text(f"{os.getpid()}\n{folder}/postgres\n0\n5432\n{folder}\n\n0 0\nready\n")
    with running(folder, durable=False) as servers:
        assert await ask(servers, "select 1") == 1


async def test_a_long_path_gets_a_short_place_for_its_sockets(folder: Path) -> None:
    deep = folder / ("deep" * 30)
    with running(deep, durable=False) as servers:
        assert await ask(servers, "select 1") == 1
        assert str(deep) not in servers.database_url + servers.redis_url


async def test_two_folders_run_side_by_side(folder: Path, servers: Servers) -> None:
    with running(folder, durable=False) as others:
        await ask(others, "create table here ()")
        assert await ask(servers, "select to_regclass('here') is null")


async def test_the_shell_s_own_postgres_is_not_touched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DATABASE_URL": "postgres://x", "PGHOST": "nowhere", "PGPORT": "1", "LANG": "xx_XX"}.items():
        monkeypatch.setenv(name, value)
    with running(folder, durable=False) as servers:
        monkeypatch.delenv("PGHOST")
        monkeypatch.delenv("PGPORT")
        assert await ask(servers, "select 1") == 1


def test_a_place_that_cannot_be_written_is_named_with_the_cure(folder: Path) -> None:
    file = folder / "file"
    file.touch()
    message = r"^cannot write to \S*file/below: not a directory; work from a folder that you may write to"
    with pytest.raises(LocalServerError, match=message) as caught, running(file / "below"):
        pytest.fail("a folder below a file")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named_with_the_cure(folder: Path) -> None:
    folder.chmod(0o555)
    with pytest.raises(LocalServerError, match="permission denied; work from a folder"), running(folder / "data"):
        pytest.fail("a read-only folder")


def test_a_cluster_half_made_is_made_anew(folder: Path) -> None:
    unfinished = folder / "postgres.new"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").touch()
    with running(folder, durable=False):
        assert not unfinished.exists()


def test_missing_wheels_are_named_with_the_cure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.local_postgres.find_spec", lambda _: None)
    with pytest.raises(LocalServerError, match=r"pip install -r requirements-dev\.txt"), running(folder):
        pytest.fail("no wheel, yet a server")


async def test_a_second_process_uses_the_servers_that_the_first_one_runs(folder: Path) -> None:
    with holding(folder), at_hand(folder) as servers:
        assert await ask(servers, "select 1") == 1
    with at_hand(folder) as servers:
        assert await ask(servers, "select 1") == 1


def test_servers_that_are_not_ready_yet_are_said_to_be_so(folder: Path) -> None:
    with holding(folder):
        (folder / "addresses").unlink()
        with pytest.raises(LocalServerError, match="try again in a moment"), at_hand(folder):
            raise AssertionError("nothing to use")
