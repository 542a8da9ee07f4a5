"""Schedulers that end where a test says."""

from collections.abc import Awaitable, Callable
from typing import Any


class Killed(BaseException):
    """A scheduler ends without another word."""


async def die(*_: object, **__: object) -> Any:
    """Stand for a call that nobody lives to make."""
    raise Killed


def after(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return a method after which its caller is no more, before the commit it stands in."""

    async def then_die(*args: Any, **values: Any) -> Any:
        await method(*args, **values)
        raise Killed

    return then_die
