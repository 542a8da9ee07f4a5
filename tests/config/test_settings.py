"""Settings come from the environment at the doors; what cannot be used is named with its cure."""

import os

import pytest

from config.servers import SettingsError, hide_password
from config.settings import read_log_settings, read_settings, split_queues

SERVERS = {"DATABASE_URL": "postgresql://u:p@h/m", "REDIS_URL": "redis://h:6379/0"}
SOCKETS = {"DATABASE_URL": "postgresql://m@/m?host=/tmp/x", "REDIS_URL": "unix:///tmp/x/v.sock"}


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("MUHURAT_") or name in {"DATABASE_URL", "REDIS_URL", "DYNO"}:
            monkeypatch.delenv(name)


def setting(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("environment", "field", "words"),
    [
        ({}, "DATABASE_URL", ["is not set", "muhurat up", "REDIS_URL"]),
        ({"DATABASE_URL": ""}, "DATABASE_URL", ["is not set"]),
        ({"DATABASE_URL": SERVERS["DATABASE_URL"]}, "REDIS_URL", ["is not set", "both or neither"]),
        ({"REDIS_URL": SERVERS["REDIS_URL"]}, "DATABASE_URL", ["is not set", "both or neither"]),
        ({"MUHURAT_LOCAL": "1", "REDIS_URL": SOCKETS["REDIS_URL"]}, "DATABASE_URL", ["both or neither"]),
        ({"DYNO": "worker.1"}, "DATABASE_URL", ["dyno", "attach"]),
        ({"DYNO": "worker.1", "MUHURAT_LOCAL": "1"}, "DATABASE_URL", ["dyno"]),
        ({"MUHURAT_LOCAL": "1", **SERVERS}, "DATABASE_URL", ["MUHURAT_LOCAL=1 means embedded"]),
        ({"MUHURAT_LOCAL": "1", **SOCKETS, "REDIS_URL": "redis://h"}, "REDIS_URL", ["MUHURAT_LOCAL=1"]),
        ({**SERVERS, "DATABASE_URL": "mysql://u@h/m"}, "DATABASE_URL", ["mysql://u@h/m", "postgresql://user"]),
        ({**SERVERS, "DATABASE_URL": "postgres://u@h"}, "DATABASE_URL", ["name the database"]),
        ({**SERVERS, "DATABASE_URL": "postgres://u@h/m?pool=3"}, "DATABASE_URL", ["take out the option pool"]),
        ({**SERVERS, "DATABASE_URL": "postgres://u@h/m?sslmode=maybe"}, "DATABASE_URL", ["sslmode is one of"]),
        ({**SERVERS, "DATABASE_URL": "postgres://u@h:port/m"}, "DATABASE_URL", ["percent-encode"]),
        ({**SERVERS, "REDIS_URL": "http://h"}, "REDIS_URL", ["use redis://"]),
        ({"MUHURAT_LOCAL": "maybe"}, "MUHURAT_LOCAL", ["'maybe'", "boolean"]),
        ({"MUHURAT_LOCAL": "1", "MUHURAT_LOG": "xml"}, "MUHURAT_LOG", ["'xml'", "'json' or 'colours'"]),
        ({"MUHURAT_LOCAL": "1", "MUHURAT_LOG_LEVEL": "loud"}, "MUHURAT_LOG_LEVEL", ["'WARNING'"]),
        ({"MUHURAT_LOCAL": "1", "MUHURAT_WORKER_THREADS": "x"}, "MUHURAT_WORKER_THREADS", ["'x'", "integer"]),
        ({"MUHURAT_LOCAL": "1", "MUHURAT_WORKER_PROCESSES": "0"}, "MUHURAT_WORKER_PROCESSES", ["equal to 1"]),
        ({"MUHURAT_LOCAL": "1", "MUHURAT_WORKER_SHUTDOWN_SECONDS": "20"}, "MUHURAT_WORKER_SHUTDOWN_SECONDS", ["12"]),
        ({"MUHURAT_LOCAL": "1", "MUHURAT_WORKER_QUEUES": "ml,,x"}, "MUHURAT_WORKER_QUEUES", ["no queue name"]),
        ({"MUHURAT_LOCAL": "1", "MUHURAT_SCHEDULER_POLL_SECONDS": "0"}, "MUHURAT_SCHEDULER_POLL_SECONDS", ["0.05"]),
    ],
)
def test_what_cannot_be_used_is_named_with_its_cure_on_one_line(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], field: str, words: list[str]
) -> None:
    setting(monkeypatch, environment)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    text = str(caught.value)
    assert caught.value.field == field
    assert text.startswith(field)
    assert "\n" not in text
    for word in words:
        assert word in text


def test_a_password_is_never_part_of_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, {**SERVERS, "DATABASE_URL": "postgres://u:hush@hush@h/m?x=1"})
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert "hush" not in str(caught.value)


def test_a_password_is_never_part_of_the_settings_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, {"DATABASE_URL": "postgres://u:hush@h/m", "REDIS_URL": "rediss://:hush@h"})
    assert "hush" not in repr(read_settings())
    assert hide_password("see postgres://u:hush@h/m, redis://:hush@h") == "see postgres://u:***@h/m, redis://:***@h"


@pytest.mark.parametrize(
    ("given", "plain", "sqlalchemy"),
    [
        ("postgres://u:p%40@h:5/m", "postgresql://u:p%40@h:5/m", "postgresql+asyncpg://u:p%40@h:5/m"),
        ("postgresql+asyncpg://u@h/m", "postgresql://u@h/m", "postgresql+asyncpg://u@h/m"),
        ("postgres://h/m?sslmode=require", "postgresql://h/m?sslmode=require", "postgresql+asyncpg://h/m?ssl=require"),
        ("postgres://h/m?ssl=true", "postgresql://h/m?sslmode=require", "postgresql+asyncpg://h/m?ssl=require"),
        (
            "postgres://h/m?sslmode=verify-full&channel_binding=require",
            "postgresql://h/m?sslmode=verify-full",
            "postgresql+asyncpg://h/m?ssl=verify-full",
        ),
        (
            "postgresql://m@/m?host=/tmp/x",
            "postgresql://m@/m?host=/tmp/x",
            "postgresql+asyncpg://m@/m?host=/tmp/x",
        ),
    ],
)
def test_each_client_gets_the_address_in_its_own_form(
    monkeypatch: pytest.MonkeyPatch, given: str, plain: str, sqlalchemy: str
) -> None:
    setting(monkeypatch, {**SERVERS, "DATABASE_URL": given})
    urls = read_settings().urls
    assert (urls.database, urls.sqlalchemy) == (plain, sqlalchemy)


@pytest.mark.parametrize(
    ("given", "dyno", "expected"),
    [
        ("rediss://:p@h:6380", "worker.1", "rediss://:p@h:6380?ssl_cert_reqs=none"),
        ("rediss://:p@h?ssl_cert_reqs=required", "worker.1", "rediss://:p@h?ssl_cert_reqs=required"),
        ("rediss://:p@h:6380", "", "rediss://:p@h:6380"),
        ("redis://h", "worker.1", "redis://h"),
        ("unix:///tmp/v.sock", "", "unix:///tmp/v.sock"),
    ],
)
def test_a_self_signed_chain_is_taken_on_a_platform_only(
    monkeypatch: pytest.MonkeyPatch, given: str, dyno: str, expected: str
) -> None:
    setting(monkeypatch, {**SERVERS, "REDIS_URL": given, "DYNO": dyno})
    assert read_settings().urls.redis == expected


def test_local_without_addresses_means_embedded_servers_not_started_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, {"MUHURAT_LOCAL": "1"})
    settings = read_settings()
    assert settings.local
    assert settings.servers is None
    with pytest.raises(SettingsError, match="muhurat up"):
        _ = settings.urls


def test_local_takes_the_sockets_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, {"MUHURAT_LOCAL": "1", **SOCKETS})
    assert read_settings().urls.redis == SOCKETS["REDIS_URL"]


def test_defaults_are_those_of_the_house(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, SERVERS)
    settings = read_settings()
    assert settings.worker.lease_seconds == 6
    assert settings.worker.shutdown_seconds == 12
    assert settings.worker.queues == ("orders", "strategy", "ml", "default")
    assert settings.prices is None
    assert (settings.log, settings.log_level) == ("json", "INFO")


def test_what_the_environment_says_wins_over_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(
        monkeypatch,
        {
            **SERVERS,
            "MUHURAT_WORKER_THREADS": "3",
            "MUHURAT_WORKER_QUEUES": "ml, default",
            "MUHURAT_SCHEDULER_SWEEP_SECONDS": "2",
            "MUHURAT_PRICES": "simulated",
            "MUHURAT_LOG_LEVEL": "debug",
        },
    )
    settings = read_settings()
    assert settings.worker.threads == 3
    assert settings.worker.queues == ("ml", "default")
    assert settings.scheduler.sweep_seconds == 2
    assert settings.prices == "simulated"
    assert settings.log_level == "DEBUG"


def test_log_settings_need_no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, {"MUHURAT_LOG": "colours"})
    assert read_log_settings() == (False, "INFO")


@pytest.mark.parametrize("text", ["", "orders,", "Orders", "orders default", "ml,ml"])
def test_an_odd_list_of_queues_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="queue"):
        split_queues(text)
