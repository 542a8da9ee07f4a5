"""Every log line leaves through one set of processors, with its ids and without secrets."""

import io
import json
import logging
import time
import warnings
from collections.abc import Iterator
from decimal import Decimal
from functools import reduce
from typing import cast

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from config.log_sink import LogSink
from config.logs import configure_logs, hide_in_text

Line = dict[str, object]


@pytest.fixture(autouse=True)
def _logs_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    out = io.StringIO()
    configure_logs(json=True, level="INFO", stream=out)
    return out


def lines(stream: io.StringIO) -> list[Line]:
    return [cast("Line", json.loads(line)) for line in stream.getvalue().splitlines()]


def test_both_kinds_of_logger_leave_the_same_keys_and_the_bound_ids(stream: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(execution_id=7, user_id=3):
        structlog.get_logger("worker.ledger").info("claimed", rows=2)
        logging.getLogger("dramatiq.worker").info("started %s", "thread")
    ours, theirs = lines(stream)
    assert (ours["event"], ours["rows"], ours["logger"], ours["level"]) == ("claimed", 2, "worker.ledger", "info")
    assert (theirs["event"], theirs["logger"]) == ("started thread", "dramatiq.worker")
    for line in (ours, theirs):
        assert (line["execution_id"], line["user_id"]) == (7, 3)
        assert str(line["timestamp"]).endswith("Z")


@pytest.mark.parametrize(
    "key",
    [
        *("password", "db_password", "client_secret", "totp_secret", "access_token", "MPIN", "totp", "credentials"),
        *("Authorization", "api_key"),
    ],
)
def test_a_secret_is_hidden_by_its_key_at_any_depth(stream: io.StringIO, key: str) -> None:
    structlog.get_logger().info("event", **{key: "hush"})
    structlog.get_logger().info("event", deep=[{"inner": {key: "hush"}}])
    logging.getLogger("x").info("event", extra={key: "hush"})
    assert "hush" not in stream.getvalue()
    assert stream.getvalue().count("***") == 3


def test_a_password_inside_an_address_is_hidden_wherever_it_stands(stream: io.StringIO) -> None:
    address = "postgres://u:hush@h/m"
    logging.getLogger("x").warning("cannot reach %s", address)
    try:
        raise ConnectionError(address)
    except ConnectionError as error:
        structlog.get_logger().exception("failed", url=address, error=error, urls=(address, {"x": error}))
    assert "hush" not in stream.getvalue()
    assert "u:***@h" in stream.getvalue()


def test_a_failure_carries_its_whole_traceback(stream: io.StringIO) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("x").exception("failed")
    (line,) = lines(stream)
    assert "Traceback" in str(line["exception"])
    assert "ValueError: broken" in str(line["exception"])


def test_values_are_written_as_people_write_them(stream: io.StringIO) -> None:
    structlog.get_logger().info("filled", price=Decimal("10.05"), flags={"a"}, none=None, ok=True)
    (line,) = lines(stream)
    assert (line["price"], line["flags"], line["none"], line["ok"]) == ("10.05", ["a"], None, True)


def test_lines_below_the_level_are_dropped(stream: io.StringIO) -> None:
    structlog.get_logger().debug("quiet")
    logging.getLogger("x").debug("quiet")
    assert stream.getvalue() == ""


def test_warnings_leave_through_the_log(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("careful", stacklevel=1)
        logging.captureWarnings(capture=False)
    (line,) = lines(stream)
    assert line["logger"] == "py.warnings"


def test_setting_up_again_replaces_the_stream_of_loggers_already_used(stream: io.StringIO) -> None:
    log = structlog.get_logger("early")
    log.info("first")
    second = io.StringIO()
    configure_logs(json=False, level="INFO", stream=second)
    log.info("second")
    assert len(lines(stream)) == 1
    assert "second" in second.getvalue()


_FERNET = "gAAAAABmX" + "a1B2c3D4e5" * 6 + "=="
_JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "text",
    [
        f"header Authorization: Bearer {_JWT}",
        f"sealed as {_FERNET}",
        "login failed for password=hunter2hunter2, try again",
        "body {'mpin': 'hunter2hunter2', 'qty': 3}",
        'json {"access_token": "hunter2hunter2"}',
        "otp: hunter2hunter2",
        "at postgresql://me:hunter2hunter2@db.example/x",
        "api_key=hunter2hunter2&side=B",
    ],
)
def test_a_secret_inside_a_text_reaches_neither_the_stream_nor_the_sink(text: str) -> None:
    out, sink = io.StringIO(), LogSink()
    configure_logs(json=True, level="INFO", stream=out, sink=sink)
    try:
        raise ValueError(text)
    except ValueError:
        structlog.get_logger("x").exception("failed", said=text, deep=[{"more": text}])
    logging.getLogger("y").warning("it said %s", text)
    kept, _ = sink.take(10)
    assert len(kept) == 2
    for secret in ("hunter2", _JWT[:20], _FERNET[:20]):
        assert secret not in out.getvalue()
        assert secret not in repr(kept)
    assert "side" not in text or "side=B" in out.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "token bucket is empty",
        "5 orders of INFY at 1,250.40",
        "slot 2026-01-02T03:45:00+00:00",
        "intent_key=dip:2026-01-02:INFY:buy:entry",
        "author: somebody, inside=1, pins 4 of 1234",
        "execution 123456 is no longer held under generation 2",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert hide_in_text(text) == text


_NAMES = st.sampled_from(
    ["password", "DB_PASSWORD", "pwd", "accessToken", "session_token", "client_secret", "otp", "login_otp", "mpin", "totp_seed",
     "Authorization", "cookie", "api_key", "consumer_key", "jwt", "creds", "Sid", "auth"]
)  # fmt: skip
_SECRETS = st.text("abcXYZ019_-.~+/", min_size=12, max_size=40).map(lambda text: f"hush{text}")
_TEXTS = st.sampled_from(
    ["{name}={secret}", "{name}: '{secret}'", '{{"{name}": "{secret}", "side": "B"}}', "?a=1&{name}={secret}&b=2",
     "failed ({name}={secret}); again", "Authorization: Basic {secret}", "Cookie: a={secret}; b={secret}",
     "redis://:{secret}@db.example:6379/0", "{name}={{'user': 'x', 'key': '{secret}'}}", "b'{name}={secret}'"]
)  # fmt: skip


def _nested(leaf: object) -> st.SearchStrategy[object]:
    """Return what may hold a leaf: itself, in a list, under a name, in an error's text, as bytes of its text."""
    wraps = st.sampled_from([lambda x: [1, x], lambda x: {"deep": x}, lambda x: (x,), lambda x: {"x": [{"y": x}]}])
    return st.lists(wraps, max_size=3).map(lambda found: reduce(lambda inner, wrap: wrap(inner), found, leaf))


@given(name=_NAMES, secret=_SECRETS, form=_TEXTS, data=st.data())
def test_no_secret_reaches_the_stream_or_the_sink_however_deep_it_lies(
    name: str, secret: str, form: str, data: st.DataObject
) -> None:
    out, sink = io.StringIO(), LogSink()
    configure_logs(json=True, level="INFO", stream=out, sink=sink)
    text = form.format(name=name, secret=secret)
    held = data.draw(st.sampled_from([{name: secret}, {name: [secret, 1]}, text, text.encode(), ValueError(text)]))
    structlog.get_logger("x").info("asked", more=data.draw(_nested(held)), error=ConnectionError(text))
    try:
        raise ValueError(text)
    except ValueError:
        structlog.get_logger("x").exception("failed")
    logging.getLogger("y").warning("it said %s", held)
    kept, _ = sink.take(10)
    assert len(kept) == 3
    assert secret not in out.getvalue()
    assert secret not in repr(kept)


@pytest.mark.parametrize(
    "text", ["your OTP is 123456", "MPIN 1234 refused", "Cookie: sid=hush; theme=hush", "pwd=1234"]
)
def test_what_people_and_brokers_write_is_hidden_too(text: str) -> None:
    said = hide_in_text(text)
    assert "***" in said
    assert not any(secret in said for secret in ("1234", "hush"))


@pytest.mark.parametrize("text", ["a" * 32_000, "x://" * 8000, "eyJ" + "a" * 30_000, "a.b-" * 8000, "token='" * 4000])
def test_one_long_word_holds_nobody_up(text: str) -> None:
    began = time.process_time()
    hide_in_text(text)
    assert time.process_time() - began < 0.5
