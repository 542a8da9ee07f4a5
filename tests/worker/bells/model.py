"""What the scripts shall do to one queue, in plain Python."""

from collections.abc import Iterable, Sequence

from tests.worker.bells.places import WORKERS, Places

# Old id, new id, whether it has a delay.
Retry = tuple[str, str, bool]


class Queue:
    """One queue of the model. A message is known by its id; `order` is how long a waiting one has been due."""

    def __init__(self) -> None:
        self.places = Places()
        self.order: list[str] = []

    def ring(self, ids: Iterable[str]) -> None:
        for id_ in ids:
            self._forget_waiting(id_)
            if id_ not in self.places.live():
                self.places.ready.append(id_)

    def wait(self, items: Iterable[tuple[str, bool]]) -> int:
        added = 0
        for id_, is_due in items:
            if id_ not in self.places.live() and id_ not in self.places.due:
                self.places.due[id_] = is_due
                self.order += [id_] * is_due
                added += 1
        return added

    def become_due(self, ids: Sequence[str]) -> None:
        for id_ in ids:
            self.places.due[id_] = True
        self.order = [*ids, *(id_ for id_ in self.order if id_ not in ids)]

    def promote(self, limit: int) -> int:
        ids = self.order[:limit]
        self.ring(ids)
        return len(ids)

    def fetch(self, worker: str, count: int) -> list[str]:
        taken, self.places.ready = self.places.ready[:count], self.places.ready[count:]
        self.places.claimed[worker] |= set(taken)
        return taken

    def settle(
        self,
        worker: str,
        acknowledged: Iterable[str],
        retries: Sequence[Retry],
        dead: Iterable[str],
        nexts: Iterable[str],
    ) -> None:
        mine = self.places.claimed[worker]
        mine -= {*acknowledged}
        buried = mine & {*dead}
        self.places.dead |= buried
        mine -= buried | {old for old, _, _ in retries}
        for _, new, has_delay in retries:
            if has_delay:
                self.wait([(new, False)])
            else:
                self.ring([new])
        self.ring(nexts)

    def give_back(self, worker: str) -> int:
        back = sorted(self.places.claimed[worker], key=lambda id_: (len(id_), id_))
        self.places.claimed[worker] = set()
        self.places.ready = [*back, *self.places.ready]
        return len(back)

    def bury(self, worker: str, id_: str) -> bool:
        if id_ in self.places.claimed[worker]:
            self.places.claimed[worker].remove(id_)
        elif id_ in self.places.ready:
            self.places.ready.remove(id_)
        else:
            return False
        self.places.dead.add(id_)
        return True

    def drain(self) -> int:
        ids, self.places.delayed = self.places.delayed, []
        self.wait((id_, False) for id_ in ids)
        return len(ids)

    def everywhere(self) -> set[str]:
        return {*self.places.live(), *self.places.due, *self.places.delayed, *self.places.dead}

    def _forget_waiting(self, id_: str) -> None:
        self.places.due.pop(id_, None)
        self.order = [one for one in self.order if one != id_]


def claimed(queue: Queue) -> list[tuple[str, str]]:
    """Return worker and id of every claim."""
    return [(worker, id_) for worker in WORKERS for id_ in sorted(queue.places.claimed[worker])]
