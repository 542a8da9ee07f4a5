"""One way out for every log line: structlog's and the standard library's pass the same processors to one stream.

Ids are bound once with structlog's contextvars (`structlog.contextvars.bound_contextvars(execution_id=...)`).
"""

import logging
import re
from collections.abc import Mapping, Sequence, Set
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from config.log_facts import merge_facts
from config.log_sink import LogSink
from config.servers import hide_password

HIDDEN = "***"

# Kotak's session travels as `Sid` and `Auth`.
_TELLING = (
    r"passw|passphrase|pwd|secret|token|mpin|totp|\botp|_otp|credential|creds|authorization|cookie|jwt"
    r"|(?:api|private|consumer|access)_?key|(?<![a-z])(?:auth|sid)(?![a-z])"
)
_SECRET_KEY = re.compile(_TELLING, re.IGNORECASE)
# A JWT, a Fernet token, a bearer header.
_TOKEN = re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|\bgAAAA[\w-]{20,}={0,2}|(?i:\bbearer\s+)[\w.~+/-]{8,}=*")
# A header holds several words: all of them, to the end of its line or its quotes.
_HEADER = re.compile(
    r"""(?P<name>\b(?:authorization|cookie)["']?\s*[=:]\s*["']?)(?!\s*["'\[{])[^"'\r\n]+""", re.IGNORECASE
)
# password=..., "mpin": "...", creds={...}: as an error's text or a request's body holds them.
_NAMED = re.compile(
    rf"""(?P<name>["']?\b\w*(?:{_TELLING})\w*["']?\s*[=:]\s*)"""
    r"""(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\{[^{}]*\}|\[[^\[\]]*\]|[^\s,;&}\])"']+)""",
    re.IGNORECASE,
)
# As people say it: "OTP is 123456".
_SPOKEN = re.compile(r"(?P<name>\b(?:mpin|t?otp|pin)\b(?:\s+(?:is|was|code|number))*\W{1,3})\d{4,8}\b", re.IGNORECASE)
_PLAIN = (bool, int, float, type(None))


def configure_logs(*, json: bool, level: str, stream: TextIO, sink: LogSink | None = None) -> None:
    """Send every log line of this process to a stream, and to a sink if there is one.

    json: one object a line; else colours for people. level: DEBUG, INFO, WARNING or ERROR. Calling it again replaces
    the earlier set-up. Doors give stdout; commands that report on stdout give stderr.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        merge_facts,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                hide_secrets,
                *_kept(sink),
                _renderer(json),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a door may set logs up again; a cached logger would keep the old stream
    )


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace values under secret keys, at any depth, and passwords inside addresses. A structlog processor."""
    return {key: HIDDEN if _is_secret(key, value) else _clean(value) for key, value in event.items()}


def _is_secret(key: object, value: object) -> bool:
    return isinstance(key, str) and value is not None and _SECRET_KEY.search(key) is not None


def _clean(value: object) -> object:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Mapping):
        return {str(key): HIDDEN if _is_secret(key, inner) else _clean(inner) for key, inner in value.items()}
    if isinstance(value, Sequence | Set) and not isinstance(value, str | bytes | bytearray):
        return [_clean(inner) for inner in value]
    # Anything else (an error, a Decimal, a moment) is read as text here, before the renderer could reveal it.
    return hide_in_text(str(value))


def hide_in_text(text: str) -> str:
    """Return a text without passwords of addresses, tokens, and what stands behind a secret's name."""
    text = _TOKEN.sub(HIDDEN, hide_password(text))
    for pattern in (_HEADER, _NAMED, _SPOKEN):
        text = pattern.sub(lambda match: f"{match['name']}{HIDDEN}", text)
    return text


def _kept(sink: LogSink | None) -> list[Processor]:
    """Return the processor that hands each finished line to a sink; it sees nothing that was not redacted."""
    if sink is None:
        return []

    def keep(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        sink.put(event)
        return event

    return [keep]


def _renderer(json: bool) -> Processor:
    if json:
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=True, exception_formatter=structlog.dev.plain_traceback)
