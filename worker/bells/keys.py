"""The names of keys on Redis: Dramatiq's own layout, and what we add to it."""

NAMESPACE = "dramatiq"

# Workers by the moment they were last seen alive, in ms. Dramatiq's; a stock client that only sends is in it too.
HEARTBEATS = f"{NAMESPACE}:__heartbeats__"
# Names of queues that somebody of ours consumes or sent to. Ours: nobody has to look through all keys for them.
KNOWN_QUEUES = f"{NAMESPACE}:__queues__"


def ready_key(queue: str) -> str:
    """Return the list of ready message ids of a queue."""
    return f"{NAMESPACE}:{queue}"


def messages_key(queue: str) -> str:
    """Return the hash of a queue's messages, ready and claimed."""
    return f"{NAMESPACE}:{queue}.msgs"


def claims_key(worker: str, queue: str) -> str:
    """Return the set of ids that a worker has claimed of a queue."""
    return f"{NAMESPACE}:__acks__.{worker}.{queue}"


def waiting_key(queue: str) -> str:
    """Return the sorted set of ids that wait for their due time, in ms on Redis's clock. Ours."""
    return f"{NAMESPACE}:{queue}.SQ"


def waiting_messages_key(queue: str) -> str:
    """Return the hash of a queue's waiting messages."""
    return f"{NAMESPACE}:{queue}.SQ.msgs"


def delayed_key(queue: str) -> str:
    """Return the list of ids that a stock client sent with a delay. We drain it into the waiting ones."""
    return f"{NAMESPACE}:{queue}.DQ"


def delayed_messages_key(queue: str) -> str:
    """Return the hash of messages that a stock client sent with a delay."""
    return f"{NAMESPACE}:{queue}.DQ.msgs"


def dead_key(queue: str) -> str:
    """Return the sorted set of dead letters, by the moment they died, in ms on Redis's clock."""
    return f"{NAMESPACE}:{queue}.XQ"


def dead_messages_key(queue: str) -> str:
    """Return the hash of a queue's dead letters."""
    return f"{NAMESPACE}:{queue}.XQ.msgs"


def dead_errors_key(queue: str) -> str:
    """Return the hash of the errors of dead letters that no execution tells of: {"error": text, "at": ms}. Ours."""
    return f"{NAMESPACE}:{queue}.XQ.errors"


def wait_keys(queue: str) -> tuple[str, ...]:
    """Return the keys of the script that lets messages wait."""
    return messages_key(queue), waiting_key(queue), waiting_messages_key(queue)


def bury_keys(worker: str, queue: str) -> tuple[str, ...]:
    """Return the keys of the script that buries a message."""
    dead = dead_key(queue), dead_messages_key(queue), dead_errors_key(queue)
    return claims_key(worker, queue), ready_key(queue), messages_key(queue), *dead
