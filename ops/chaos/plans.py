"""What an execution of the suite shall do, written into its subject: a number in its case and one word."""

import re
from dataclasses import dataclass

TASKS_USED = {"notify": "default", "reconcile": "orders"}
"""Tasks whose steps the suite replaces, with their queues; what they do for an order remains the product's."""

OF_AN_ORDER = r"^[0-9]+:[0-9]+"
"""The subjects of executions that steps of the product ask for, as a regular expression of Python and Postgres."""

# Short, so that a case does not take long; long enough that a fault falls into the wait.
BACKOFF_SECONDS = 3.0
MOST_ATTEMPTS = 6

OK, INSIDE, SLOW, RETRY, FAIL, POISON, KILL = "ok", "inside", "slow", "retry", "fail", "poison", "kill"
ORDER = "order"
"""Waits at the gate and ends well · holds its transaction open there · takes a while · is away at its first attempt ·
fails, unless it is done again · has an outcome that Postgres refuses · kills its worker · plans an order."""

ENDS = dict.fromkeys((OK, INSIDE, SLOW, RETRY, ORDER), "success") | dict.fromkeys((FAIL, POISON, KILL), "failed")
"""How each must end."""

_PARTS = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """One execution's part. number: in its case, from 0."""

    number: int
    word: str

    @property
    def subject(self) -> str:
        """The subject that says it."""
        return f"chaos:{self.number}:{self.word}"

    @property
    def task(self) -> str:
        """The task that runs it: one of each queue in turn."""
        return list(TASKS_USED)[self.number % len(TASKS_USED)]


def is_of_an_order(subject: str) -> bool:
    """Tell whether an execution works for an order, as a step of the product asked for it."""
    return re.match(OF_AN_ORDER, subject) is not None


def plan_of(subject: str) -> Plan:
    """Return what a subject says; anything else, such as what an operator asked to run again, ends well."""
    parts = subject.split(":")
    if len(parts) == _PARTS and parts[0] == "chaos" and parts[1].isdecimal() and parts[2] in ENDS:
        return Plan(int(parts[1]), parts[2])
    return Plan(0, OK)
