"""Sends scripts to Redis, many in one pipeline."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from worker.bells.scripts import Script

# Ids in one call of a script: far below what a Lua stack takes, and short enough not to hold Redis up.
CHUNK = 500
# Calls in one pipeline: some thousand messages of some hundred bytes.
_PIPELINED = 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A script with its keys and arguments."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[str | bytes | int] = ()


async def run(redis: Redis, calls: Iterable[Call]) -> list[Any]:
    """Run calls in order and return their answers. Raises RedisError; then any of them may have run.

    A script that Redis does not know is loaded and its call repeated, after those that followed it.
    """
    answers: list[Any] = []
    remaining = iter(calls)
    while some := list(islice(remaining, _PIPELINED)):
        answers += await _run(redis, some)
    return answers


async def _run(redis: Redis, calls: list[Call]) -> list[Any]:
    answers = await _send(redis, calls)
    unknown = [number for number, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if unknown:
        for script in {calls[number].script for number in unknown}:
            await redis.script_load(script.text)
        for number, answer in zip(unknown, await _send(redis, [calls[number] for number in unknown]), strict=True):
            answers[number] = answer
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


async def _send(redis: Redis, calls: list[Call]) -> list[Any]:
    async with redis.pipeline(transaction=False) as pipeline:
        for call in calls:
            pipeline.evalsha(call.script.sha, len(call.keys), *call.keys, *call.arguments)
        return await pipeline.execute(raise_on_error=False)


def text(name: object) -> str:
    """Return a name or id that Redis answered. One that is no text comes out as another, which nothing has."""
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Return slices of a sequence, none empty."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
