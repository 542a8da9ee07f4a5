"""The names of keys on Redis, as Dramatiq lays them out."""

NAMESPACE = "dramatiq"


def ready_key(queue: str) -> str:
    """Return the list of ready message ids of a queue."""
    return f"{NAMESPACE}:{queue}"


def messages_key(queue: str) -> str:
    """Return the hash of a queue's messages, ready and claimed."""
    return f"{NAMESPACE}:{queue}.msgs"


def claims_key(worker: str, queue: str) -> str:
    """Return the set of ids that a worker has claimed of a queue."""
    return f"{NAMESPACE}:__acks__.{worker}.{queue}"
