"""Runs a command of `muhurat` in this process against the servers of the test run."""

import asyncio
import json
from typing import Any

import pytest

from config.servers import ServerUrls
from ops.cli import run


class Commands:
    """The command line, as people use it on a server."""

    def __init__(self, urls: ServerUrls, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.patch, self.capture = patch, capture
        patch.setenv("DATABASE_URL", urls.database)
        patch.setenv("REDIS_URL", urls.redis)
        for name in ("MUHURAT_LOCAL", "MUHURAT_OPERATOR", "DYNO"):
            patch.delenv(name, raising=False)

    async def __call__(self, *words: str, code: int = 0, out: bool = False) -> str:
        """Run a command and return what it printed: stdout, or stderr when it shall fail with a code.

        out: stdout also then.
        """
        self.capture.readouterr()
        ended = await asyncio.to_thread(run, words)
        said = self.capture.readouterr()
        assert ended == code, said.err
        return said.err if code and not out else said.out

    async def json(self, *words: str) -> Any:
        """Run a command with --json and return its one object."""
        said = await self(*words, "--json")
        assert said.count("\n") == 1
        return json.loads(said)
