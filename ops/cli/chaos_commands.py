"""`muhurat chaos`: faults of every kind while executions are in every state, and what held."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from ops.cli import options as o

Only = Annotated[
    list[str] | None,
    typer.Option(metavar="CASE", help="Only cases of this name or pattern, as 'kill_*/running'; may be given again."),
]
List = Annotated[bool, typer.Option("--list", help="Name the cases and what each is, and run none.")]
Seed = Annotated[int, typer.Option(min=0, max=o.LARGEST_INTEGER, help="Of which executions do what, and moments.")]


def chaos(only: Only = None, list_: List = False, seed: Seed = 7, json: o.Json = False) -> None:
    """Strike the real scheduler and workers with faults, in every state of an execution, and count what held.

    On embedded servers of its own in .muhurat/chaos, which it restarts, stops and cuts off; DATABASE_URL and REDIS_URL
    are not looked at. All of it takes about twenty minutes of a machine that does nothing else. Code 1 if a promise was
    broken or a fault did not strike.
    """
    from ops.chaos.cases import NoCaseError, chosen

    try:
        cases = chosen(only or [])
    except NoCaseError as error:
        raise typer.BadParameter(str(error)) from error
    if list_:
        _tell_cases([{"case": case.name, "what": case.sentence} for case in cases], as_json=json)
        return
    from ops.chaos.suite import run
    from ops.cli.chaos_screen import ChaosScreen
    from ops.doors import forget_foreign_servers

    forget_foreign_servers()
    with ChaosScreen(len(cases)) as screen:
        report = run(cases, seed, screen.begins, screen.ended)
    _tell(report, as_json=json)
    if not report["holds"]:
        raise typer.Exit(1)


def _tell_cases(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    from ops.cli.tables import print_json, print_rows

    if as_json:
        print_json({"cases": rows})
    else:
        print_rows(f"{len(rows)} cases", rows)


def _tell(report: Mapping[str, Any], *, as_json: bool) -> None:
    from ops.cli.tables import print_facts, print_json, print_rows

    if as_json:
        print_json(report)
        return
    print_rows("Faults and states: seconds until all was over, or what failed", _matrix(report["cases"]))
    print_rows(
        "Promises",
        [
            {"promise": one["sentence"], "counted": _counts(one["counted"]), "violations": one["violations"]}
            for one in report["promises"].values()
        ],
    )
    broken = [{"case": case["case"], "violation": said} for case in report["cases"] for said in case["violations"]]
    if broken:
        print_rows("Violations", broken)
    print_facts(
        "Totals", {**report["totals"], "seconds": report["seconds"], "seed": report["seed"], **report["versions"]}
    )


def _matrix(cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row a fault and a column a state; cases of their own kind stand in the first."""
    states = list(dict.fromkeys(case["state"] for case in cases if case["state"]))
    rows: dict[str, dict[str, Any]] = {}
    for case in cases:
        row = rows.setdefault(case["fault"], {"fault": case["fault"], "by itself": None, **dict.fromkeys(states)})
        row[case["state"] or "by itself"] = _said(case)
    return list(rows.values())


def _said(case: Mapping[str, Any]) -> str:
    if case["violations"]:
        return f"{len(case['violations'])} broken"
    if not case["struck"]:
        return "not struck"
    return f"{case['recovered_s']:.1f}" if case["recovered_s"] is not None else "ok"


def _counts(counted: Mapping[str, float]) -> str:
    return ", ".join(f"{name.removesuffix('_s')} {count:,.10g}{' s' if name.endswith('_s') else ''}"
                     for name, count in counted.items())  # fmt: skip
