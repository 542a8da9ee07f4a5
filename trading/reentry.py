"""The ladder of re-entries: which level of RSI a held position may buy next, and when it begins anew.

Levels 30, 20, 10; each is bought at most once a cycle, only ever deeper, at most one a day. RSI above 30 readies the
ladder: the next fall under 30 begins a new cycle with every level free. Source: domain 4.10.
"""

from dataclasses import dataclass, replace
from datetime import date

LEVELS = (30, 20, 10)
REENTRY_LEG = "reentry"


@dataclass(frozen=True, slots=True)
class Ladder:
    """A position's place on its ladder.

    taken: levels bought in this cycle, the entry's own among them in the first one. bought_on: the newest session a
    re-entry was decided for. seen_on: the newest day whose RSI was looked at.
    """

    cycle: int
    reset_ready: bool
    taken: frozenset[int]
    bought_on: date | None = None
    seen_on: date | None = None


def taken_at_entry(entry_rsi: float) -> frozenset[int]:
    """Return the levels an entry at this RSI has used up: those it stood below."""
    return frozenset(level for level in LEVELS if entry_rsi < level)


def observe(ladder: Ladder, rsi: float, day: date) -> Ladder:
    """Return the ladder after a day's RSI (0-100). A day that was seen, or an older one, changes nothing."""
    if ladder.seen_on is not None and day <= ladder.seen_on:
        return ladder
    seen = replace(ladder, seen_on=day)
    if rsi > LEVELS[0]:
        return replace(seen, reset_ready=True)
    if rsi < LEVELS[0] and ladder.reset_ready:
        return replace(seen, cycle=ladder.cycle + 1, reset_ready=False, taken=frozenset())
    return seen


def next_level(ladder: Ladder, rsi: float, session_day: date) -> int | None:
    """Return the level to buy at this RSI for a session, None if none is allowed.

    The deepest level that RSI is under counts; one that it fell through is skipped for good.
    """
    passed = [level for level in LEVELS if rsi < level]
    if not passed or (ladder.bought_on is not None and session_day <= ladder.bought_on):
        return None
    level = min(passed)
    return level if level < min(ladder.taken, default=LEVELS[0] + 1) else None


def reentry_leg(cycle: int, level: int) -> str:
    """Return the leg that names a rung in an intent key."""
    return f"{REENTRY_LEG}-{cycle}-{level}"
