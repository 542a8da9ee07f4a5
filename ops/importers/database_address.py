"""Where a predecessor's database is: a file or a server, told in any of the forms that people have at hand."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from config.servers import ServerUrls, SettingsError, database_url, hide_password
from ops.importers.errors import NoSourceError

_FORMS = "give a file such as old.db, sqlite:///old.db, or postgresql://user:password@host:5432/name"
# The predecessor's own settings named a driver: sqlite+pysqlite, postgresql+psycopg2.
_SCHEME = re.compile(r"(?P<kind>[A-Za-z][A-Za-z0-9.]*)(\+\w+)?://")
_SQLITE_HEAD = b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True)
class Address:
    """A database that is to be read. name: of its file or of itself. shown: for people, without a password.

    path: of a file. url: of a server, for SQLAlchemy's asyncpg.
    """

    name: str
    shown: str
    path: Path | None = None
    url: str | None = None

    def __repr__(self) -> str:
        return f"Address({self.shown})"


def address_of(text: str) -> Address:
    """Return the address that a text means. Raises NoSourceError."""
    match = _SCHEME.match(text)
    if match is None:
        return _file(text, text)
    kind, rest = match["kind"].lower(), text[match.end() :]
    if kind == "sqlite":
        # sqlite:///x is a path from here, sqlite:////x one from the root.
        return _file(unquote(rest.partition("?")[0].removeprefix("/")), text)
    if kind in {"postgres", "postgresql"}:
        return _server(f"postgresql://{rest}")
    raise NoSourceError(f"{_without_secrets(text)}: {kind} is no database of the predecessor's; {_FORMS}")


def _file(name: str, said: str) -> Address:
    path = Path(name).expanduser()
    if not name or not path.exists():
        raise NoSourceError(f"{_without_secrets(said)}: is not there; {_FORMS}")
    if not path.is_file():
        raise NoSourceError(f"{path}: is no file; {_FORMS}")
    with path.open("rb") as file:
        head = file.read(len(_SQLITE_HEAD))
    if head != _SQLITE_HEAD:
        raise NoSourceError(f"{path}: is no SQLite database; {_FORMS}")
    return Address(path.name, str(path.resolve()), path=path.resolve())


def _server(text: str) -> Address:
    shown = _without_secrets(text)
    try:
        plain = database_url(text)
        # Reading the host's port checks it; its own message has no place in ours.
        name = unquote(urlsplit(plain).path.lstrip("/"))
    except SettingsError as error:
        raise NoSourceError(f"{shown}: cannot be read as an address: {_without_secrets(error.cure)}") from None
    return Address(name, shown, url=ServerUrls(plain, "").sqlalchemy)


def _without_secrets(text: str) -> str:
    """Return an address without its password, and without options, which may hold one too."""
    return hide_password(text).partition("?")[0]
