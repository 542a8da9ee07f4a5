"""`muhurat doctor`: is everything there that is needed, and does the record hold together?"""

import typer


def diagnose(*, as_json: bool) -> None:
    """Print every check. Ends with code 1 when one failed."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    from ops.cli.reach import with_servers
    from ops.cli.tables import console, print_json
    from ops.doctor import examine

    checks = with_servers(lambda database, urls: examine(database, urls, datetime.now(UTC)))
    if as_json:
        print_json({"checks": [asdict(one) for one in checks]})
    else:
        style = {"ok": "green", "warning": "yellow", "failed": "bold red"}
        for one in checks:
            console().print(
                f"{one.state:8}", f"{one.name:16}", one.said, style=style[one.state], markup=False, highlight=False
            )
    if any(one.state == "failed" for one in checks):
        raise typer.Exit(1)
