"""Runs an export where people can see it."""

from pathlib import Path

from ops.cli.reach import with_database
from ops.cli.rows_bar import rows_bar
from ops.exporters.legacy import Exported, Screen, export_legacy


def write_legacy(path: Path, user: str, actor: str, *, quiet: bool) -> Exported:
    """Run an export on the servers of the environment. Raises what it raises."""
    with rows_bar("read", quiet=quiet) as bar:
        screen = Screen(bar.begins, bar.one)
        return with_database(lambda database: export_legacy(database, path, user, actor, screen))
