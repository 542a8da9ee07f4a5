"""The table's actors, bound to their steps: what a message's name runs, on which queue, within which limit."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module

import structlog

from config.log_facts import bind
from db.executions import Execution, Fenced
from worker.messages import TASKS
from worker.outcome import Outcome
from worker.queue.actor import Perform, StepActor
from worker.queue.broker import QueueBroker
from worker.resources import CurrentResources, Resources
from worker.steps.analysis import analysis
from worker.steps.buy_orders import buy_orders
from worker.steps.eod_cleanup import eod_cleanup
from worker.steps.housekeeping import housekeeping
from worker.steps.notify import notify
from worker.steps.order_sync import order_sync
from worker.steps.position_monitor import position_monitor
from worker.steps.premarket_retry import premarket_retry
from worker.steps.prices import prices
from worker.steps.reconcile import reconcile
from worker.steps.retention import retention
from worker.steps.sell_monitor import sell_monitor
from worker.steps.submit import submit

Step = Callable[[Resources, Execution], Awaitable[Outcome]]


async def train(resources: Resources, execution: Execution) -> Outcome:
    """Train a model. What it needs takes seconds to be read: only who trains waits for it, in a thread."""
    step = await asyncio.to_thread(import_module, "worker.steps.train")
    outcome: Outcome = await step.train(resources, execution)
    return outcome


STEPS: dict[str, Step] = {
    "prices": prices,
    "analysis": analysis,
    "buy_orders": buy_orders,
    "submit": submit,
    "order_sync": order_sync,
    "reconcile": reconcile,
    "sell_monitor": sell_monitor,
    "premarket_retry": premarket_retry,
    "position_monitor": position_monitor,
    "eod_cleanup": eod_cleanup,
    "train": train,
    "notify": notify,
    "retention": retention,
    "housekeeping": housekeeping,
}

log = structlog.get_logger(__name__)


def declare_actors(broker: QueueBroker, resources: CurrentResources) -> None:
    """Declare every actor of the table on a process's broker."""
    for task in TASKS.values():
        perform = performer(STEPS[task.name], resources)
        StepActor(perform, broker=broker, actor_name=task.name, queue_name=task.queue, limit_seconds=task.limit_seconds)


def performer(step: Step, resources: CurrentResources) -> Perform:
    """Return what performs a step with this process's resources, its log lines bound to the execution."""

    async def perform(execution: Execution) -> Outcome:
        bind(partial(_facts, execution))
        try:
            outcome = await step(await resources.at(execution.calendar_at), execution)
        except Fenced:
            log.warning("execution_fenced")
            raise
        except Exception:
            log.exception("execution_raised")
            raise
        # A success that has nothing to tell is told by its row: a line would cost more than its work.
        if outcome.status != "success" or outcome.details:
            log.info("execution_ended", status=outcome.status, reason=outcome.reason)
        return outcome

    return perform


def _facts(execution: Execution) -> dict[str, object]:
    """Return what every log line of an execution carries."""
    return {
        "execution_id": execution.id,
        "task": execution.task_name,
        "slot": execution.scheduled_for.isoformat(),
        "message_id": f"{execution.id}.{execution.generation}",
        "user_id": execution.user_id,
        "account_id": execution.account_id,
        "subject": execution.subject,
        "attempt": execution.attempt,
        "generation": execution.generation,
    }
