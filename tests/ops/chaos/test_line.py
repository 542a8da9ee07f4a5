"""The line to Redis that can be stalled."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from config.servers import ServerUrls
from ops.chaos.line import Line
from tests.waiting import wait_until


@pytest.fixture
def line(urls: ServerUrls, tmp_path: Path) -> Iterator[Line]:
    with Line(tmp_path / "line", Path(urls.redis.removeprefix("unix://"))) as opened:
        yield opened


@pytest.fixture
def straight(urls: ServerUrls) -> Iterator[Redis]:
    redis = Redis.from_url(urls.redis)
    redis.flushall()
    yield redis
    redis.close()


def through(line: Line) -> Redis:
    return Redis(unix_socket_path=str(line.path), socket_timeout=0.3, retry=Retry(NoBackoff(), 0))


def test_what_is_asked_and_answered_passes(line: Line, straight: Redis) -> None:
    redis = through(line)
    assert redis.set("a", "x" * 200_000) is True
    assert straight.strlen("a") == 200_000
    redis.close()


def test_without_replies_what_is_asked_for_still_happens(line: Line, straight: Redis) -> None:
    redis = through(line)
    redis.ping()
    line.stall(requests=False)
    with pytest.raises(RedisTimeoutError):
        redis.set("a", "1")
    assert straight.get("a") == b"1"
    assert line.held_bytes > 0
    line.resume()
    redis.close()


def test_a_silent_line_passes_nothing_until_it_goes_on(line: Line, straight: Redis) -> None:
    redis = through(line)
    redis.ping()
    line.stall(requests=True)
    with pytest.raises(RedisTimeoutError):
        redis.set("a", "1")
    assert straight.get("a") is None
    line.resume()
    wait_until(redis.ping)
    redis.close()


def test_a_connection_closed_behind_the_line_is_closed_before_it(line: Line, straight: Redis) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
        end.settimeout(10)
        end.connect(str(line.path))
        end.sendall(b"PING\r\n")
        assert end.recv(16) == b"+PONG\r\n"
        straight.client_kill_filter(_type="normal", skipme=True)
        assert end.recv(16) == b""


def test_it_leaves_no_thread_and_no_task_behind(urls: ServerUrls, tmp_path: Path) -> None:
    before = threading.active_count()
    with Line(tmp_path / "line", Path(urls.redis.removeprefix("unix://"))) as opened:
        redis = through(opened)
        redis.ping()
    assert threading.active_count() == before
    assert not asyncio.all_tasks(opened._loop)
    redis.close()
