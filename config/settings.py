"""What the environment says, checked once at a door and handed down as plain arguments.

Server addresses live in `config/servers.py`; nothing here opens a connection.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from config.environment import LEASE_SECONDS, LONGEST_LEASE, SHORTEST_LEASE, local_wanted
from config.servers import ServerUrls, SettingsError, hide_password, server_urls

# Platforms kill after 30 s, and what ended has to be settled before that (worker/ending.py adds it up).
LONGEST_SHUTDOWN_SECONDS = 12

LogForm = Literal["json", "colours"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
SettingsT = TypeVar("SettingsT", bound=BaseSettings)

_QUEUE = re.compile(r"^[a-z][a-z0-9_]*$")


def _environment(prefix: str) -> SettingsConfigDict:
    return SettingsConfigDict(env_prefix=prefix, env_ignore_empty=True, extra="ignore", frozen=True)


class WorkerSettings(BaseSettings):
    """MUHURAT_WORKER_*. queues: names in the order they are served; the door's --queues wins over it.

    share: how many executions of one user a queue may have on Redis; the others wait in Postgres for their turn.
    """

    model_config = _environment("MUHURAT_WORKER_")

    processes: int = Field(default=1, ge=1, le=64)
    threads: int = Field(default=8, ge=1, le=256)
    queues: Annotated[tuple[str, ...], NoDecode] = ("orders", "strategy", "ml", "default")
    lease_seconds: float = Field(default=LEASE_SECONDS, ge=SHORTEST_LEASE, le=LONGEST_LEASE)
    share: int = Field(default=8, ge=1, le=10_000)
    shutdown_seconds: float = Field(default=12, ge=1, le=LONGEST_SHUTDOWN_SECONDS)

    @field_validator("queues", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split_queues(value) if isinstance(value, str) else value


class SchedulerSettings(BaseSettings):
    """MUHURAT_SCHEDULER_*. poll: the longest sleep, with nothing due; sweep: how often what was missed is sought."""

    model_config = _environment("MUHURAT_SCHEDULER_")

    poll_seconds: float = Field(default=1.0, ge=0.05, le=5)
    sweep_seconds: float = Field(default=1.0, ge=0.1, le=5)


class _General(BaseSettings):
    model_config = _environment("MUHURAT_")

    prices: str | None = None
    log: LogForm = "json"
    log_level: LogLevel = "INFO"
    log_to_database: bool = True

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a door may need.

    servers: None when MUHURAT_LOCAL=1 and no addresses are given: the embedded ones are meant.
    prices: the spec of a price source; None means none is configured.
    """

    local: bool
    servers: ServerUrls | None
    prices: str | None
    log: LogForm
    log_level: LogLevel
    log_to_database: bool
    worker: WorkerSettings
    scheduler: SchedulerSettings

    @property
    def urls(self) -> ServerUrls:
        """Return the server addresses. Raises SettingsError when only embedded servers are meant."""
        if self.servers is None:
            raise SettingsError("DATABASE_URL", None, "start the embedded servers with `muhurat up`")
        return self.servers


def read_settings() -> Settings:
    """Return the settings of this process. Raises SettingsError naming the first field that cannot be used."""
    local = local_wanted(os.environ)
    general = _read(_General)
    servers = server_urls(os.environ, local=local)
    return Settings(
        local=local,
        servers=servers,
        prices=general.prices,
        log=general.log,
        log_level=general.log_level,
        log_to_database=general.log_to_database,
        worker=_read(WorkerSettings),
        scheduler=_read(SchedulerSettings),
    )


def read_log_settings() -> tuple[bool, str]:
    """Return (as JSON, level) alone: for commands that run on embedded servers. Raises SettingsError."""
    general = _read(_General)
    return general.log == "json", general.log_level


def split_queues(text: str) -> tuple[str, ...]:
    """Return queue names of a comma list, in order. Raises ValueError when a name is empty, odd or given twice."""
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if not _QUEUE.match(name):
            raise ValueError(f"{name!r} is no queue name; give names like orders,default")
    if len(set(names)) != len(names):
        raise ValueError("a queue is named twice; name each once")
    return names


def _read(kind: type[SettingsT]) -> SettingsT:
    try:
        return kind()
    except ValidationError as error:
        raise _first_error(kind, error.errors()[0]) from None


def _first_error(kind: type[BaseSettings], error: ErrorDetails) -> SettingsError:
    field = f"{kind.model_config.get('env_prefix', '')}{error['loc'][0]}".upper()
    context: Mapping[str, object] = error.get("ctx", {})
    bounds = "use a value" if {"ge", "le"} & set(context) else "use"
    cure = str(context["error"]) if "error" in context else error["msg"].replace("Input should be", bounds)
    return SettingsError(field, hide_password(str(error["input"])), cure)
