"""Which Postgres and which Redis a process talks to, and the forms of address that platforms hand out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

DATABASE = "DATABASE_URL"
REDIS = "REDIS_URL"

_CURE_NEITHER = "run `muhurat up` for embedded servers, or set DATABASE_URL and REDIS_URL"

_POSTGRES_SCHEMES = {"postgres", "postgresql", "postgresql+asyncpg"}
_REDIS_SCHEMES = {"redis", "rediss", "unix"}

# What both asyncpg and SQLAlchemy understand in an address; `ssl` and `sslmode` are two names of one thing.
_POSTGRES_OPTIONS = {"host", "port", "ssl", "sslmode"}
# Hosted Postgres hands it out; asyncpg binds no channel and would send it to the server as a setting.
_POSTGRES_DROPPED = {"channel_binding"}
_SSL_MODES = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}

# Bounded, because it reads every log line, and a line may be one long word.
_PASSWORD = re.compile(r"(?P<head>[a-zA-Z][\w+.-]{0,30}://[^\s:/?#'\"]{0,200}:)[^\s'\"]{1,1000}@")


class SettingsError(Exception):
    """A setting that cannot be used: the field, its value (None: not set) and the cure, on one line."""

    def __init__(self, field: str, value: str | None, cure: str) -> None:
        self.field, self.value, self.cure = field, value, cure
        said = "is not set" if value is None else f"= {value!r}"
        super().__init__(f"{field} {said}: {cure}")


@dataclass(frozen=True, slots=True)
class ServerUrls:
    """Addresses in the form each client takes. database: for asyncpg. redis: for redis-py."""

    database: str
    redis: str

    @property
    def sqlalchemy(self) -> str:
        """The database's address for SQLAlchemy's async engine."""
        parts = urlsplit(self.database)
        query = [("ssl" if name == "sslmode" else name, value) for name, value in parse_qsl(parts.query)]
        return _address("postgresql+asyncpg", parts, query)

    def __repr__(self) -> str:
        return f"ServerUrls({hide_password(self.database)}, {hide_password(self.redis)})"


def server_urls(environment: Mapping[str, str], *, local: bool) -> ServerUrls | None:
    """Return the two addresses of an environment, or None when it means embedded servers not started yet.

    local: MUHURAT_LOCAL is set; then only addresses of sockets on this machine pass. Raises SettingsError.
    """
    database, redis = environment.get(DATABASE) or None, environment.get(REDIS) or None
    on_platform = bool(environment.get("DYNO"))
    if database is None and redis is None:
        if on_platform:
            raise SettingsError(DATABASE, None, f"a dyno needs {DATABASE} and {REDIS}; attach Postgres and Redis")
        if local:
            return None
        raise SettingsError(DATABASE, None, _CURE_NEITHER)
    if database is None:
        raise SettingsError(DATABASE, None, f"{REDIS} is; set both or neither")
    if redis is None:
        raise SettingsError(REDIS, None, f"{DATABASE} is; set both or neither")
    urls = ServerUrls(database_url(database), redis_url(redis, on_platform=on_platform))
    if local:
        _refuse_other_machines(urls)
    return urls


def database_url(text: str) -> str:
    """Return a Postgres address as asyncpg takes it (postgresql://, sslmode). Raises SettingsError."""
    parts = _split(DATABASE, text)
    shown = hide_password(text)
    if parts.scheme not in _POSTGRES_SCHEMES:
        raise SettingsError(DATABASE, shown, "use an address like postgresql://user:password@host:5432/name")
    if parts.path in {"", "/"}:
        raise SettingsError(DATABASE, shown, "name the database after the host, like postgresql://host/name")
    query = []
    for name, value in parse_qsl(parts.query):
        if name in _POSTGRES_DROPPED:
            continue
        if name not in _POSTGRES_OPTIONS:
            raise SettingsError(DATABASE, shown, f"take out the option {name}; known are host, port and sslmode")
        query.append(("sslmode", _ssl_mode(value, shown)) if name in {"ssl", "sslmode"} else (name, value))
    return _address("postgresql", parts, query)


def redis_url(text: str, *, on_platform: bool) -> str:
    """Return a Redis address as redis-py takes it. Raises SettingsError.

    on_platform: a rediss:// chain is taken unchecked unless the address says otherwise: platforms sign it themselves.
    """
    parts = _split(REDIS, text)
    if parts.scheme not in _REDIS_SCHEMES:
        raise SettingsError(REDIS, hide_password(text), "use redis://, rediss:// or unix:///path/to/socket")
    query = parse_qsl(parts.query)
    if parts.scheme == "rediss" and on_platform and "ssl_cert_reqs" not in dict(query):
        query.append(("ssl_cert_reqs", "none"))
    return _address(parts.scheme, parts, query)


def hide_password(text: str) -> str:
    """Return the text with the password of every address in it replaced by ***."""
    return _PASSWORD.sub(r"\g<head>***@", text)


def _split(field: str, text: str) -> SplitResult:
    try:
        parts = urlsplit(text.strip())
        _ = parts.port  # reading it checks it
    except ValueError as error:
        raise SettingsError(field, hide_password(text), f"{error}; percent-encode odd signs in the password") from None
    return parts


def _address(scheme: str, parts: SplitResult, query: list[tuple[str, str]]) -> str:
    # Not urlunsplit: it drops the slashes of an address without a host, which a socket's has.
    tail = f"?{urlencode(query, safe='/')}" if query else ""
    return f"{scheme}://{parts.netloc}{parts.path}{tail}"


def _ssl_mode(value: str, shown: str) -> str:
    mode = {"true": "require", "1": "require", "false": "disable", "0": "disable"}.get(value.lower(), value.lower())
    if mode not in _SSL_MODES:
        raise SettingsError(DATABASE, shown, f"sslmode is one of {', '.join(sorted(_SSL_MODES))}")
    return mode


def _refuse_other_machines(urls: ServerUrls) -> None:
    cure = "MUHURAT_LOCAL=1 means embedded servers; unset it, or unset DATABASE_URL and REDIS_URL"
    parts = urlsplit(urls.database)
    if parts.hostname or not dict(parse_qsl(parts.query)).get("host", "").startswith("/"):
        raise SettingsError(DATABASE, hide_password(urls.database), cure)
    if not urls.redis.startswith("unix:///"):
        raise SettingsError(REDIS, hide_password(urls.redis), cure)
