"""Every case by its name, `fault/state` or a single word: the matrix, what goes beyond it, and which are chosen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from random import Random

from ops.chaos.acting import ACTING_STATE
from ops.chaos.faults import FAULTS, Fault
from ops.chaos.further_faults import FURTHER_FAULTS
from ops.chaos.halting import HALTINGS
from ops.chaos.halves import HALVES
from ops.chaos.house import Street
from ops.chaos.play import Result, play, staged
from ops.chaos.races import RACES
from ops.chaos.scene import Scene, Single
from ops.chaos.singles import SINGLES
from ops.chaos.states import STATES, State

ALL_STATES = (*STATES, ACTING_STATE)


class NoCaseError(Exception):
    """No case has a name like that."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        super().__init__(f"--only {pattern!r} names no case: use a name or pattern of `muhurat chaos --list`")


@dataclass(frozen=True, slots=True)
class Case:
    """One case. state: None of those that are of their own kind."""

    name: str
    sentence: str
    fault: str
    state: str | None
    play: Callable[[Street, Random], Result]


def every_case() -> list[Case]:
    """Return all cases: the matrix first."""
    pairs = [(fault, state) for fault in FAULTS for state in ALL_STATES]
    pairs += [(fault, state) for fault, states in FURTHER_FAULTS for state in states]
    return [_of(fault, state) for fault, state in pairs] + [
        _single(one) for one in (*HALVES, *RACES, *HALTINGS, *SINGLES)
    ]


def chosen(patterns: Sequence[str]) -> list[Case]:
    """Return the cases that any pattern names, `kill_worker/*` or `storm`; without one, all. Raises NoCaseError."""
    cases = every_case()
    for pattern in patterns:
        if not any(fnmatch(case.name, pattern) for case in cases):
            raise NoCaseError(pattern)
    return [case for case in cases if not patterns or any(fnmatch(case.name, pattern) for pattern in patterns)]


def _of(fault: Fault, state: State) -> Case:
    def run(street: Street, random: Random) -> Result:
        return play(street, fault, state, random)

    sentence = f"{fault.sentence}, while an execution is {state.name}: {state.sentence}"
    return Case(f"{fault.name}/{state.name}", sentence, fault.name, state.name, run)


def _single(one: Single) -> Case:
    def run(street: Street, random: Random) -> Result:
        async def part(scene: Scene) -> None:
            await one.part(scene, random)

        return staged(street, Result(one.name, one.name, ""), part)

    return Case(one.name, one.sentence, one.name, None, run)
