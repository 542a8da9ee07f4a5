"""Doors hear of embedded servers alone, and end when they are told to, deaf ones too."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from config.servers import server_urls
from ops.doors import ROOT, Door, door_environment, forget_foreign_servers, stop_all, without_foreign_servers
from ops.local import Servers
from tests.waiting import wait_until

SERVERS = Servers("postgresql://muhurat@/muhurat?host=/tmp/x", "unix:///tmp/x/valkey.sock")
SHELL = {
    "PATH": "/bin",
    "DATABASE_URL": "postgres://admin:secret@production.example/money",
    "REDIS_URL": "rediss://:secret@production.example:6380",
    "PGHOST": "production.example",
    "PGPASSWORD": "secret",
    "DYNO": "web.1",
    "MUHURAT_PRICES": "folder:/somewhere",
    "MUHURAT_WORKER_LEASE_SECONDS": "3",
}

_DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(600)"


def python(code: str) -> Door:
    return Door("door", ["python", "-c", code], {})


def test_nothing_of_a_production_server_reaches_a_door() -> None:
    told = door_environment(SHELL, SERVERS, "simulated:7")
    assert "production" not in " ".join(told.values())
    assert "secret" not in " ".join(told.values())
    assert told["MUHURAT_PRICES"] == "simulated:7"


def test_what_tunes_the_workers_reaches_a_door() -> None:
    assert door_environment(SHELL, SERVERS, "simulated:7")["MUHURAT_WORKER_LEASE_SECONDS"] == "3"


def test_the_settings_take_what_a_door_is_told() -> None:
    told = door_environment(SHELL, SERVERS, "simulated:7")
    urls = server_urls(told, local=told["MUHURAT_LOCAL"] == "1")
    assert urls is not None
    assert (urls.database, urls.redis) == (SERVERS.database_url, SERVERS.redis_url)


def test_an_environment_without_servers_keeps_the_rest() -> None:
    assert without_foreign_servers(SHELL).keys() == {"PATH", "MUHURAT_PRICES", "MUHURAT_WORKER_LEASE_SECONDS"}


def test_a_process_can_forget_the_servers_of_its_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SHELL.items():
        monkeypatch.setenv(name, value)
    forget_foreign_servers()
    with pytest.raises(KeyError):
        monkeypatch.delenv("DATABASE_URL")
    with pytest.raises(KeyError):
        monkeypatch.delenv("PGPASSWORD")


def test_a_door_runs_our_python_where_the_rooms_lie(tmp_path: Path) -> None:
    door = python("import os, sys; print(sys.executable); print(os.getcwd())")
    with (tmp_path / "said").open("wb") as output:
        door.start(output)
    wait_until(lambda: door.ended() == 0)
    assert (tmp_path / "said").read_text().splitlines() == [sys.executable, str(ROOT)]


def test_a_door_that_never_started_has_not_ended_and_can_be_stopped() -> None:
    door = python("")
    stop_all([door])
    assert (door.ended(), door.pid) == (None, None)


def test_a_deaf_door_is_killed_with_its_children() -> None:
    door = python(f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {_DEAF!r}]); {_DEAF}")
    with door.start(subprocess.PIPE) as process:
        assert process.stdout is not None
        assert [process.stdout.readline(), process.stdout.readline()] == [b"on\n", b"on\n"]
        assert door.pid is not None
        (child,) = psutil.Process(door.pid).children()
        began = time.monotonic()
        stop_all([door], limit_seconds=0.2)
        assert time.monotonic() - began < 5
    assert door.ended() == -signal.SIGKILL
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
