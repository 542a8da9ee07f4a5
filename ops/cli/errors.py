"""What a person reads when something goes wrong: one line saying what, where and the cure. The one catching place."""

import errno
import socket

from alembic.util import CommandError
from asyncpg import PostgresError
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from typer import TyperException

from adapters.prices.base import PriceSourceError
from config.servers import SettingsError, hide_password
from db.engine import DatabaseError
from ops.bench.report import BenchError
from ops.cli.upping import ReleaseError
from ops.importers.errors import ImportingError
from ops.local import LocalServerError
from ops.price_load import NoBarsError
from ops.procfile import ProcfileError
from ops.replay.drive import DoorError, StalledError
from ops.replay.plan import ReplayError
from ops.training import TrainingNotDoneError
from trading.config import ConfigError
from trading.errors import TradingError

FAILED, BAD_INPUT = 1, 2

# Errors of ours that say all three themselves.
_BAD_INPUT_KINDS = (ReplayError, PriceSourceError, ConfigError, ProcfileError, TradingError, ImportingError)
_FAILED_KINDS = (
    BenchError,
    DatabaseError,
    LocalServerError,
    DoorError,
    StalledError,
    ReleaseError,
    TrainingNotDoneError,
    NoBarsError,
)

_CURES = {
    errno.EACCES: "check the rights of that place, or work from a folder that you may write to",
    errno.EPERM: "check the rights of that place, or work from a folder that you may write to",
    errno.EROFS: "it is read-only; work from a folder that you may write to",
    errno.ENOSPC: "make room on that disk",
    errno.EADDRINUSE: "another program uses that port; stop it or choose another",
    errno.ECONNREFUSED: "nothing listens there; start the server or check DATABASE_URL and REDIS_URL",
    errno.ENOENT: "check the path",
}
_CHECK_SERVER = "check DATABASE_URL and REDIS_URL and that the server runs"


def explain(error: BaseException) -> tuple[str, int] | None:
    """Return the line for an error and the exit code; None for an error that nobody foresaw."""
    said = _explain(error)
    if said is None:
        return None
    text, code = said
    return " ".join(hide_password(text).split()), code


def _explain(error: BaseException) -> tuple[str, int] | None:
    if isinstance(error, TyperException):
        said = error.format_message().rstrip(".") or "it was given nothing to do"
        return f"{said}. Try '{_command_of(error)} --help'.", BAD_INPUT
    if isinstance(error, SettingsError):
        return str(error), BAD_INPUT
    if isinstance(error, _BAD_INPUT_KINDS):
        return str(error), BAD_INPUT
    # Exactly LookupError: a calendar that is not loaded. A KeyError is a bug.
    if isinstance(error, _FAILED_KINDS) or type(error) is LookupError:
        return str(error), FAILED
    return _explain_foreign(error)


def _explain_foreign(error: BaseException) -> tuple[str, int] | None:
    """Errors of libraries: they say what, we add the cure."""
    if isinstance(error, CommandError):
        return f"migrations: {error}; this database was made by other code: check DATABASE_URL", FAILED
    if isinstance(error, PostgresError):
        return f"Postgres refused: {_first_line(error)}; {_CHECK_SERVER}", FAILED
    if isinstance(error, SQLAlchemyError):
        return f"Postgres: {_first_line(getattr(error, 'orig', None) or error)}; {_CHECK_SERVER}", FAILED
    if isinstance(error, RedisError):
        return f"Redis: {_first_line(error)}; {_CHECK_SERVER}", FAILED
    if isinstance(error, TimeoutError):
        return f"a server did not answer in time; {_CHECK_SERVER}", FAILED
    if isinstance(error, socket.gaierror):
        return f"a host has no address: {error.strerror}; check the hosts in DATABASE_URL and REDIS_URL", FAILED
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        cure = _CURES.get(error.errno or 0, _CHECK_SERVER if isinstance(error, ConnectionError) else "")
        return f"{where}{(error.strerror or str(error)).lower()}{'; ' if cure else ''}{cure}", FAILED
    return None


def _command_of(error: TyperException) -> str:
    context: object = getattr(error, "ctx", None)
    return str(getattr(context, "command_path", "muhurat"))


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
