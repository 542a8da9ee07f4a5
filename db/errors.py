"""Which errors of the database pass by themselves, so that the same work may be tried again."""

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# By class of SQLSTATE: connection (08), resources (53), shutdown and start-up (57), rollback of a deadlock or a
# serialization failure (40). asyncpg's errors reach us as plain DBAPIError, so the class decides and not the type.
_TEMPORARY_CLASSES = ("08", "53", "57", "40")
_LOCK_NOT_AVAILABLE = "55P03"
_READ_ONLY = "25006"  # what a standby answers until it is promoted


# What a Postgres that is away, or a pool that is empty for that, may raise: who can wait catches these.
AWAY: tuple[type[Exception], ...] = (DBAPIError, OSError, PoolTimeoutError)


def is_temporary(error: BaseException) -> bool:
    """Tell whether an error says "not now" rather than "not this"."""
    if isinstance(error, (OSError, InterfaceError, OperationalError, PoolTimeoutError)):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return error.connection_invalidated or state[:2] in _TEMPORARY_CLASSES or state in (_LOCK_NOT_AVAILABLE, _READ_ONLY)
