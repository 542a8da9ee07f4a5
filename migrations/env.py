"""What Alembic runs: our metadata, on the connection that the caller opened."""

from typing import Any

from alembic import context

from db.tables import metadata

# Partitions are made by functions as time goes on; the models know only their parents.
_PARTITION = "_p2"


def include_name(name: str | None, kind: str, parents: Any) -> bool:
    """Leave partitions out of what is compared with the models."""
    return not (kind == "table" and name is not None and _PARTITION in name)


def run() -> None:
    """Run the migrations in one transaction on the given connection."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=include_name,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
