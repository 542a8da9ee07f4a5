"""Every command teaches, and every mistake is answered with one line and an exit code that is not nought."""

import errno
import os
import socket
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from adapters.prices.base import PriceSourceError
from config.servers import SettingsError
from db.engine import DatabaseError
from ops.cli import run
from ops.cli.errors import explain
from ops.local import LocalServerError
from ops.price_load import NoBarsError
from trading.config import ConfigError

ROOT = Path(__file__).parents[2]


def muhurat(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as people do, in a shell of the given servers only."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("MUHURAT_", "DATABASE_", "REDIS_"))
    }
    return subprocess.run(
        [sys.executable, "-m", "ops.cli", *arguments],
        cwd=cwd,
        env=kept | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("command", ["demo", "replay", "migrate", "up", "version"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert f"muhurat {command}" in capsys.readouterr().out


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    run([])
    assert "migrate" in capsys.readouterr().out


def test_the_version_names_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version"]) == 0
    assert "schema 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replay", "--users", "0"], "--users"),
        (["replay", "--workers", "many"], "--workers"),
        (["replay", "--from", "2025-13-01"], "--from"),
        (["replay", "--bogus"], "--bogus"),
        (["replay", "--data", "/nowhere"], "is not a folder"),
        (["replay", "--from", "2025-05-05", "--to", "2025-05-01"], "is after"),
        (["demo", "--to", "1999-01-01"], "the calendar covers"),
        (["up", "--procfile", "/nowhere/Procfile"], "--procfile"),
        (["sell-everything"], "No such command"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_one_line_without_its_password(tmp_path: Path) -> None:
    done = muhurat(
        "migrate", cwd=tmp_path, DATABASE_URL="postgresql://me:secret@127.0.0.1:1/x", REDIS_URL="redis://127.0.0.1:1"
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


def test_a_host_that_nobody_knows_is_named_with_the_cure(tmp_path: Path) -> None:
    done = muhurat(
        "status",
        cwd=tmp_path,
        DATABASE_URL="postgresql://me:secret@no-such-host.invalid/x",
        REDIS_URL="redis://127.0.0.1:1",
    )
    assert done.returncode == 1
    assert "the host 'no-such-host.invalid' of DATABASE_URL has no address: correct its name" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


@pytest.mark.parametrize("environment", [{}, {"DATABASE_URL": "postgresql://localhost/x"}, {"REDIS_URL": "redis://h"}])
def test_migrate_wants_both_addresses(environment: dict[str, str], tmp_path: Path) -> None:
    done = muhurat("migrate", cwd=tmp_path, **environment)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "_URL is not set" in done.stderr


def test_a_trace_is_shown_only_when_asked_for(tmp_path: Path) -> None:
    assert "Traceback" in muhurat("--debug", "replay", "--data", "/nowhere", cwd=tmp_path).stderr
    assert "Traceback" in muhurat("replay", "--data", "/nowhere", "--debug", cwd=tmp_path).stderr
    assert "Traceback" not in muhurat("replay", "--data", "/nowhere", cwd=tmp_path).stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SettingsError("X", "1", "use 2"), 2, "use 2"),
        (PriceSourceError("folder: is not there"), 2, "is not there"),
        (ConfigError("rsi_period", 99, "use less"), 2, "use less"),
        (DatabaseError("the schema is at nothing"), 1, "schema"),
        (LocalServerError("folder in use"), 1, "in use"),
        (RedisConnectionError("Error 111 connecting to h:1.\nmore"), 1, "REDIS_URL"),
        (OSError(errno.EADDRINUSE, "Address already in use", "127.0.0.1:80"), 1, "another program"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 1, "/x/y: permission denied"),
        (OSError("at redis://:secret@h"), 1, "redis://:***@h"),
        (socket.gaierror(-2, "Name or service not known"), 1, "check the hosts in DATABASE_URL and REDIS_URL"),
        (NoBarsError("folder:x", date(2024, 1, 1), date(2024, 1, 2)), 1, "folder:x has no bars from 2024-01-01"),
        (LookupError("no calendar of NSE is loaded"), 1, "calendar"),
    ],
)
def test_each_kind_of_error_has_a_line_and_a_code(error: Exception, code: int, said: str) -> None:
    explained = explain(error)
    assert explained is not None
    assert (explained[1], "\n" in explained[0]) == (code, False)
    assert said in explained[0]


def test_a_bug_is_not_taken_for_bad_input() -> None:
    assert explain(KeyError("x")) is None
    assert explain(TypeError("x")) is None
