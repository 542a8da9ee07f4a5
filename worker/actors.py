"""The table's actors, bound to their steps: what a message's name runs, on which queue, within which limit."""

import time
from collections.abc import Awaitable, Callable

import dramatiq
import structlog
from structlog.contextvars import bound_contextvars

from db.executions import Execution, Fenced
from worker.ledger import Ledger
from worker.messages import TASKS, Task
from worker.outcome import Outcome
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
from worker.steps.train import train

Step = Callable[[Resources, Execution], Awaitable[Outcome]]

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
        run = _runner(task, STEPS[task.name], resources, broker.ledger)
        limit_ms = task.limit_seconds * 1000
        dramatiq.actor(actor_name=task.name, queue_name=task.queue, broker=broker, time_limit=limit_ms)(run)


def _runner(
    task: Task, step: Step, resources: CurrentResources, ledger: Ledger
) -> Callable[[int, str, int], Awaitable[None]]:
    async def run(execution_id: int, scheduled_for: str, generation: int) -> None:
        key = f"{execution_id}.{generation}"
        execution = ledger.held[key]
        facts = {
            "user_id": execution.user_id,
            "account_id": execution.account_id,
            "subject": execution.subject,
            "attempt": execution.attempt,
            "generation": generation,
        }
        with bound_contextvars(execution_id=execution_id, task=task.name, slot=scheduled_for, message_id=key, **facts):
            await _run(step, resources, ledger, key, execution)

    return run


async def _run(step: Step, resources: CurrentResources, ledger: Ledger, key: str, execution: Execution) -> None:
    began = time.perf_counter()
    try:
        outcome = await step(await resources.at(execution.calendar_at), execution)
    except Fenced:
        log.warning("execution_fenced")
    except Exception as error:
        settlement = ledger.recorder.error(execution, error, time.perf_counter() - began)
        log.exception("execution_raised", status=settlement.status)
        ledger.record(key, settlement)
    else:
        seconds = time.perf_counter() - began
        ledger.record(key, ledger.recorder.outcome(execution, outcome, seconds))
        log.info("execution_ended", status=outcome.status, reason=outcome.reason, seconds=round(seconds, 4))
