"""Cases beyond the matrix: what comes from the work itself, from copies, an old Redis, and many faults in a row."""

import asyncio
import signal
import uuid
from random import Random

from dramatiq import Message
from redis.asyncio import Redis

from db.executions import Bell
from ops.chaos.acting import ACTING_STATE
from ops.chaos.eye import reached
from ops.chaos.faults import FAULTS
from ops.chaos.further_faults import FURTHER_FAULTS
from ops.chaos.instruments import ACTING
from ops.chaos.plans import KILL, OK, POISON, RETRY, SLOW, TASKS_USED, Plan
from ops.chaos.scene import Scene, Single
from ops.chaos.states import EXECUTIONS, QUEUED, RUNNING, mixed
from worker.bells.keys import dead_messages_key, messages_key, ready_key
from worker.wire import encode

_REACH_SECONDS = 90.0
_COPIES = 2
_QUEUE = "default"
_STORM_EXECUTIONS, _STORM_FAULTS = 150, 6
_QUICK = (
    "kill_worker",
    "kill_parent",
    "redis_flushall",
    "client_kill",
    "postgres_crash",
    "redis_crash",
    "kill_scheduler",
)

_UNSTORABLE = "SELECT count(*) FROM service_task_execution WHERE status = 'failed' AND reason = 'unstorable_outcome'"
_QUARANTINED = "SELECT count(*) FROM service_task_execution WHERE status = 'failed' AND reason LIKE 'quarantined%'"
# What was taken back and has not begun again stands at none.
_CHARGED = """
SELECT id, attempt FROM service_task_execution
WHERE status <> 'failed' AND (attempt > 1 OR (finished_at IS NOT NULL AND attempt <> 1))
"""
_OPEN = "SELECT count(*) FROM service_task_execution WHERE status IN ('waiting', 'queued', 'running', 'retrying')"
_BELLS = """
SELECT task_name, queue, scheduled_for, id, generation FROM service_task_execution WHERE status IN ('queued', 'running')
"""


async def _poison_outcome(scene: Scene, random: Random) -> None:
    """Let some outcomes be refused by Postgres for their data, in batches with others."""
    poison = set(random.sample(range(EXECUTIONS), 4))
    await scene.accept([Plan(number, POISON if number in poison else OK) for number in range(EXECUTIONS)])
    await reached("steps wait at the gate", lambda: _running(scene), _REACH_SECONDS)
    scene.open_steps()
    await _until_one(scene, _UNSTORABLE, len(poison), "refused outcomes end failed")
    scene.notes |= {"in_state": len(poison), "faults": len(poison), "struck": True}


async def _poison_message(scene: Scene, random: Random) -> None:
    """Put among the messages one that nobody can read, and one for an actor that is not there."""
    await scene.accept(mixed(EXECUTIONS))
    await reached("messages are ready", lambda: QUEUED.count(scene), _REACH_SECONDS)
    unknown: Message[None] = Message(_QUEUE, "no_such_actor", (), {}, {"redis_message_id": "unknown"})
    for id_, data in {"unreadable": b"{not json", "unknown": unknown.encode()}.items():
        await scene.redis.hset(messages_key(_QUEUE), id_, data)
        await scene.redis.lpush(ready_key(_QUEUE), id_)
    scene.open_steps()

    async def buried() -> bool:
        return {b"unreadable", b"unknown"} <= set(await scene.redis.hkeys(dead_messages_key(_QUEUE)))

    scene.notes |= {"in_state": 2, "faults": 2}
    await reached("both lie with the dead letters", buried, _REACH_SECONDS)
    scene.notes |= {"struck": random is not None}


async def _killer(scene: Scene, random: Random) -> None:
    """Let one execution kill whatever worker runs it."""
    killer = random.randrange(EXECUTIONS)
    scene.open_steps()
    await scene.accept([Plan(number, KILL if number == killer else OK) for number in range(EXECUTIONS)])
    await _until_one(scene, _QUARANTINED, 1, "the killer is taken out of the way")
    lost = await scene.eye.one("SELECT count(*) FROM execution_attempts WHERE outcome = 'lost'")
    scene.notes |= {"in_state": 1, "struck": lost > 0, "faults": lost}
    charged = await scene.eye.rows(_CHARGED)
    if charged:
        scene.violations.append(f"innocents were charged an attempt ({len(charged)}): {dict(charged[0])}")


async def _copies(scene: Scene, random: Random) -> None:
    """Send every message again under other ids, as a client that lost an answer does, and ring each id twice."""
    await scene.accept(mixed(EXECUTIONS))
    await reached("steps wait at the gate", lambda: _running(scene), _REACH_SECONDS)
    bells = [Bell(*row) for row in await scene.eye.rows(_BELLS)]
    random.shuffle(bells)
    for bell in bells:
        message: Message[None] = Message.decode(encode(bell))
        for _ in range(_COPIES):
            copy = message.copy(options={"redis_message_id": str(uuid.UUID(int=random.getrandbits(128)))})
            id_ = copy.options["redis_message_id"]
            await scene.redis.hset(messages_key(bell.queue), id_, copy.encode())
            await scene.redis.rpush(ready_key(bell.queue), id_, message.message_id)
    scene.notes |= {"in_state": len(bells), "faults": _COPIES * len(bells), "struck": len(bells) == EXECUTIONS}
    scene.open_steps()


async def _old_copy(scene: Scene, random: Random) -> None:
    """Bring Redis back from a copy of a while ago: it knows what is over and not what came since."""
    await scene.accept(mixed(EXECUTIONS))
    await reached("steps wait at the gate", lambda: _running(scene), _REACH_SECONDS)
    copy = await _dumped(scene.redis)
    scene.open_steps()
    await _until_one(scene, _OPEN, 0, "the first executions are over")
    scene.close_steps()
    await scene.accept([Plan(EXECUTIONS + number, random.choice((OK, RETRY))) for number in range(EXECUTIONS)])
    await reached("steps wait at the gate", lambda: _running(scene), _REACH_SECONDS)
    stale = await _restore(scene.redis, copy)
    await scene.redis.client_kill_filter(_type="normal", skipme=True)
    scene.notes |= {"in_state": stale, "struck": stale > 0}
    scene.open_steps()


async def _killed_operator(scene: Scene, _: Random) -> None:
    """Kill an operator's command in the middle of its action."""
    await ACTING_STATE.bring(scene)
    scene.notes["in_state"] = await ACTING_STATE.count(scene)
    operator, scene.operator = scene.operator, None
    if operator is not None:
        operator.kill()
        scene.notes["struck"] = await operator.wait() == -signal.SIGKILL
    scene.open_steps()
    scene.release()
    await reached("nothing waits at its gate", lambda: _nobody_acts(scene), _REACH_SECONDS)
    if ACTING_STATE.finish is not None:
        await ACTING_STATE.finish(scene)


async def _storm(scene: Scene, random: Random) -> None:
    """Let one fault follow another while there is work."""
    words = (SLOW, SLOW, SLOW, RETRY)
    await scene.accept([Plan(number, random.choice(words)) for number in range(_STORM_EXECUTIONS)])
    scene.open_steps()
    await reached("steps run", lambda: RUNNING.count(scene), _REACH_SECONDS)
    quick = [fault for fault in (*FAULTS, *(one for one, _ in FURTHER_FAULTS)) if fault.name in _QUICK]
    struck: list[str] = []
    in_state = 0
    for fault in random.sample(quick, _STORM_FAULTS):
        await reached("workers hold their leases", scene.house_is_well, _REACH_SECONDS)
        await asyncio.sleep(random.uniform(0, 0.5))
        open_now = int(await scene.eye.one(_OPEN))
        async with fault.strike(scene):
            pass
        if scene.notes.pop("struck") and open_now:
            struck.append(fault.name)
            in_state = max(in_state, open_now)
    scene.notes |= {
        "in_state": in_state,
        "faults": len(struck),
        "kinds": struck,
        "struck": len(struck) == _STORM_FAULTS,
    }


async def _running(scene: Scene) -> bool:
    return await RUNNING.count(scene) >= RUNNING.least


async def _nobody_acts(scene: Scene) -> bool:
    return not await scene.held_up(ACTING)


async def _until_one(scene: Scene, query: str, count: int, what: str) -> None:
    async def there() -> bool:
        scene.house.keep_running()
        return int(await scene.eye.one(query)) == count

    await reached(what, there, _REACH_SECONDS)


async def _dumped(redis: Redis) -> dict[bytes, bytes]:
    found = {key: await redis.dump(key) async for key in redis.scan_iter(count=1000)}
    return {key: value for key, value in found.items() if value is not None}


async def _restore(redis: Redis, copy: dict[bytes, bytes]) -> int:
    """Replace everything at once. Returns how many messages came back."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.flushall()
        for key, value in copy.items():
            pipe.restore(key, 0, value)
        await pipe.execute()
    return sum([int(await redis.hlen(messages_key(queue))) for queue in TASKS_USED.values()])


SINGLES = (
    Single("poison_outcome", "outcomes that Postgres refuses, among others", _poison_outcome),
    Single("poison_message", "a message nobody can read, and one for no actor, among others", _poison_message),
    Single("killer", "an execution that kills its worker, among innocents", _killer),
    Single("copies", "every message twice more, and rung again", _copies),
    Single("redis_old_copy", "Redis restored from an old copy", _old_copy),
    Single("kill_operator", "kill -9 of an operator's command in the middle of its action", _killed_operator),
    Single("storm", "six faults in a row while there is work", _storm),
)
