"""How soon work is picked up: by a worker that is idle, and for a user beside whom another has much to do."""

import asyncio
from contextlib import AsyncExitStack
from random import Random
from statistics import median, quantiles

from ops.bench.queue_child import SLOW, TOLD
from ops.bench.queue_ours import Ours
from ops.bench.queue_stock import Sender, Stock
from ops.bench.queue_world import Told, World

# Seconds between two messages, as chance has it: of idle workers long enough that any back-off has grown.
_IDLE_GAP = (0.2, 1.0)
# Of the quiet user: his tasks take 0.1 s, so that two or three of them run at once.
_QUIET_GAP = (0.05, 0.25)
NOISY_PLACES, NOISY_SHARE = 8, 4
_QUIET, _NOISY = 0, 1
_SEED = 7


async def idle(world: World, singles: int, told: Told) -> dict[str, float]:
    """Send single messages to idle workers, ours and stock in turns. Returns their pick-up in milliseconds."""
    chance = Random(_SEED)  # noqa: S311  # no secret
    ours, stock, sender = Ours(world, "ours_idle", step=TOLD), Stock(world, "stock_idle"), Sender(world)
    sent: dict[str, float] = {}
    sent_stock: dict[int, float] = {}
    async with AsyncExitStack() as ending:
        ending.callback(sender.close)
        for one in (ours, stock):
            await ending.enter_async_context(one.running())
        ours.begin_slot()
        for number in range(singles):
            told(f"Idle workers: single message {number + 1} of {singles}")
            await asyncio.sleep(chance.uniform(*_IDLE_GAP))
            sent[f"idle{number}:1"] = await ours.send(f"idle{number}", chance.randrange(world.users))
            await asyncio.sleep(chance.uniform(*_IDLE_GAP))
            sent_stock[number] = sender.send(number)
        await ours.drained()
        began, began_stock = await ours.began("idle"), await sender.began()
    of_ours = [1000 * (began[name] - at) for name, at in sent.items()]
    of_stock = [1000 * (began_stock[number] - at) for number, at in sent_stock.items()]
    figures = {
        "idle_p50_ms": median(of_ours),
        "idle_p99_ms": p99(of_ours),
        "idle_p50_stock_ms": median(of_stock),
        "idle_p99_stock_ms": p99(of_stock),
    }
    return figures | {
        "idle_p50_vs_stock": figures["idle_p50_ms"] / figures["idle_p50_stock_ms"],
        "idle_p99_vs_stock": figures["idle_p99_ms"] / figures["idle_p99_stock_ms"],
    }


async def noisy(world: World, rounds: int, singles: int, queued: int, told: Told) -> dict[str, float]:
    """Send a quiet user's messages alone and beside a noisy user, in turns. Returns his pick-up in milliseconds.

    singles: in each turn. queued: executions the noisy user has queued when a turn begins.
    """
    chance = Random(_SEED)  # noqa: S311  # no secret
    ours = Ours(world, "ours_noisy", 1, NOISY_PLACES, TOLD)
    ours.settings["MUHURAT_WORKER_SHARE"] = str(NOISY_SHARE)
    alone: list[float] = []
    beside: list[float] = []
    async with ours.running():
        for number in range(rounds):
            told(f"Quiet user, turn {number + 1} of {rounds}: alone")
            ours.begin_slot()
            alone += await _quiet(ours, singles, chance)
            told(f"Quiet user, turn {number + 1} of {rounds}: beside {queued:,} executions of another")
            ours.begin_slot()
            await ours.send(f"{SLOW}-noisy", _NOISY, queued, NOISY_SHARE)
            beside += await _quiet(ours, singles, chance)
            await ours.cancel()
    figures = {"quiet_alone_p99_ms": p99(alone), "quiet_beside_p99_ms": p99(beside)}
    return figures | {
        "quiet_alone_p50_ms": median(alone),
        "quiet_beside_p50_ms": median(beside),
        "noisy_p99": figures["quiet_beside_p99_ms"] / figures["quiet_alone_p99_ms"],
    }


async def _quiet(ours: Ours, singles: int, chance: Random) -> list[float]:
    sent: dict[str, float] = {}
    for number in range(singles):
        await asyncio.sleep(chance.uniform(*_QUIET_GAP))
        sent[f"{SLOW}-quiet{number}:1"] = await ours.send(f"{SLOW}-quiet{number}", _QUIET)
    began = await ours.all_began(f"{SLOW}-quiet", singles)
    return [1000 * (began[name] - at) for name, at in sent.items()]


def p99(values: list[float]) -> float:
    """Return the value that one in a hundred is above."""
    return quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else values[0]
