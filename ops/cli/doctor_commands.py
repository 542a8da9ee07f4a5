"""`muhurat doctor`: is everything there that is needed, and does the record hold together?"""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ops.doctor import Check

_STYLE = {"ok": "green", "warning": "yellow", "failed": "bold red"}


def diagnose(*, as_json: bool) -> None:
    """Print every check. Ends with code 1 when one failed."""
    from dataclasses import asdict

    from ops.cli.tables import console, print_json

    checks = _checks()
    if as_json:
        print_json({"checks": [asdict(one) for one in checks]})
    else:
        for one in checks:
            line = f"{one.state:8}", f"{one.name:16}", one.said
            console().print(*line, style=_STYLE[one.state], markup=False, highlight=False)
    if any(one.state == "failed" for one in checks):
        raise typer.Exit(1)


def _checks() -> list["Check"]:
    from datetime import UTC, datetime

    from config.servers import SettingsError
    from config.settings import read_settings
    from ops.cli.reach import with_servers
    from ops.doctor import Check, examine

    try:
        read_settings()
        found = with_servers(lambda database, urls: examine(database, urls, lambda: datetime.now(UTC)))
    except SettingsError as error:
        return [Check("settings", "failed", str(error))]
    return [Check("settings", "ok", "every setting can be read"), *found]
