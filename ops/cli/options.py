"""The options of the commands, each told once."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

SIMULATED = "simulated"
_DAY = ["%Y-%m-%d"]

Data = Annotated[
    str,
    typer.Option(
        metavar="DIR|simulated",
        help="Where bars come from: a simulated market, or a folder of CSV or Parquet files, one a symbol, with the "
        "columns date, open, high, low, close, volume.",
    ),
]
First = Annotated[
    datetime | None,
    typer.Option(
        "--from", formats=_DAY, metavar="DAY", help="First day, YYYY-MM-DD. Unset: 60 sessions before the end."
    ),
]
Last = Annotated[
    datetime | None,
    typer.Option(
        "--to", formats=_DAY, metavar="DAY", help="Last day. Unset: the end of the data, simulated 2025-12-31."
    ),
]
Users = Annotated[int, typer.Option(min=1, max=1000, help="Users, each with a configuration of its own.")]
AccountsPerUser = Annotated[int, typer.Option(min=1, max=10, help="Paper accounts of each user.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the simulated market and of the training.")]
Workers = Annotated[int, typer.Option(min=1, max=16, help="Worker processes.")]
Threads = Annotated[int, typer.Option(min=1, max=64, help="Executions at once in each worker process.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, everything else on stderr.")]
Keep = Annotated[bool, typer.Option("--keep", help="Leave the database in .muhurat/replay until the next replay.")]
Procfile = Annotated[
    Path | None,
    typer.Option(
        help="The file that names the processes.", show_default="the one of this code", exists=True, dir_okay=False
    ),
]
As = Annotated[
    str | None,
    typer.Option("--as", envvar="MUHURAT_OPERATOR", metavar="NAME", help="Who you are; stands in the audit log."),
]
User = Annotated[str | None, typer.Option("--user", metavar="EMAIL", help="One user, by e-mail or id. Unset: all.")]
