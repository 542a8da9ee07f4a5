"""The Procfile: which processes a platform runs, by name. Reading only; `muhurat up` runs them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

RELEASE = "release"
"""The process that runs once, to its end, before the others."""

_LINE = re.compile(r"^(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)$")


class ProcfileError(Exception):
    """A Procfile that cannot be used: the line and the cure, on one line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One process: its name and the words of its command."""

    name: str
    command: tuple[str, ...]


def read_procfile(path: Path) -> list[Entry]:
    """Return the processes of a file, in its order. Raises ProcfileError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProcfileError(f"{path}: cannot be read ({error}); run it where a Procfile lies") from error
    entries = parse_procfile(text, str(path))
    if not entries:
        raise ProcfileError(f"{path}: names no process; write lines like `worker: python -m worker.main`")
    return entries


def parse_procfile(text: str, where: str = "Procfile") -> list[Entry]:
    """Return the processes of a text. Blank lines and lines that begin with # say nothing. Raises ProcfileError."""
    entries: list[Entry] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        entry = _entry(line, f"{where}, line {number}")
        if entry.name in {known.name for known in entries}:
            raise ProcfileError(
                f"{where}, line {number}: {entry.name!r} is there twice; give each process its own name"
            )
        entries.append(entry)
    return entries


def _entry(line: str, where: str) -> Entry:
    match = _LINE.match(line)
    if match is None:
        raise ProcfileError(f"{where}: {line!r} is no `name: command`; names are letters, digits, - and _")
    try:
        words = tuple(shlex.split(match["command"]))
    except ValueError as error:
        raise ProcfileError(f"{where}: {error}; close the quotation") from error
    return Entry(match["name"], words)
