"""How a step ends: with an outcome, or with one of the errors that say what the ledger does next.

StepError
├── Retry      temporary: the same execution runs again after its back-off, while it is useful
└── Refuse     business: it ends failed, and trying again would not help
Everything else that a step raises is a bug: it ends failed with its traceback.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished step leaves in the record. status: success or skipped. reason: why it was skipped."""

    status: str = "success"
    details: Mapping[str, Json] = field(default_factory=dict)
    reason: str | None = None


def done(**details: Json) -> Outcome:
    """Return a success with its details."""
    return Outcome("success", details)


def skipped(reason: str, **details: Json) -> Outcome:
    """Return a skip with the reason people will read."""
    return Outcome("skipped", details, reason)


class StepError(Exception):
    """The base of what a step raises on purpose."""


class Retry(StepError):  # noqa: N818 - says what to do
    """Something temporary is in the way: a source or a broker does not answer."""


class Refuse(StepError):  # noqa: N818 - says what to do
    """The work cannot be done as asked, now or later."""
