"""What a run of the suite tells: every case with what it really had, and per promise what was counted."""

from collections.abc import Mapping, Sequence
from typing import Any

from ops.bench.report import machine
from ops.chaos.play import Result
from ops.chaos.promises import PROMISES


def told(results: Sequence[Result], seed: int, seconds: float, versions: Mapping[str, str]) -> dict[str, Any]:
    """Return a report as JSON values. `holds`: every fault struck and no promise was broken."""
    return {
        "holds": all(result.holds for result in results),
        "seed": seed,
        "seconds": round(seconds, 1),
        "totals": {
            "cases": len(results),
            "struck": sum(result.struck for result in results),
            "executions": sum(result.executions for result in results),
            "faults": sum(result.faults for result in results),
            "in_state": sum(result.in_state for result in results),
            "violations": sum(len(result.violations) for result in results),
            "failed_cases": [result.case for result in results if not result.holds],
        },
        "promises": {one.name: {"sentence": one.sentence, **_summed(results, one.name)} for one in PROMISES},
        "cases": [_case(result) for result in results],
        "machine": machine(),
        "versions": dict(versions),
    }


def _case(result: Result) -> dict[str, Any]:
    return {
        "case": result.case,
        "fault": result.fault,
        "state": result.state or None,
        "holds": result.holds,
        "struck": result.struck,
        "in_state": result.in_state,
        "executions": result.executions,
        "faults": result.faults,
        "ended": result.ended,
        "seconds": result.seconds,
        "recovered_s": result.recovered_s,
        "restarts": result.restarts,
        "facts": result.notes,
        "at": result.at,
        "logs": result.logs,
        "counted": {name: dict(held.counted) for name, held in result.promises.items()},
        "violations": list(result.violations),
    }


def _summed(results: Sequence[Result], name: str) -> dict[str, Any]:
    """Return a promise's counts over all cases: sums, and of seconds the longest."""
    counted: dict[str, float] = {}
    violations = 0
    for result in results:
        held = result.promises.get(name)
        if held is None:
            continue
        violations += len(held.violations)
        for what, count in held.counted.items():
            before = counted.get(what, 0)
            counted[what] = max(before, count) if what.endswith("_s") else before + count
    return {"counted": counted, "violations": violations}
