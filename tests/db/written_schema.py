"""The schema as Postgres tells it, one line a fact, and the file where it was written down and read by a person.

`python -m tests.db.written_schema` writes the file anew on a server of its own: read what changed before it is kept.
"""

import asyncio
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from config.servers import ServerUrls
from db.engine import make_engine
from migrations.run import migrate
from ops.local import running

WRITTEN = Path(__file__).with_name("schema.txt")

# Partitions are made as time goes on; Alembic's own table is not ours.
_OURS = """
    ours AS (SELECT c.oid, c.relname::text AS name, c.relrowsecurity AND c.relforcerowsecurity AS secured, c.relkind
             FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
               AND NOT c.relispartition AND c.relname <> 'alembic_version')
"""
_FACTS = {
    "table": """
        SELECT name, CASE WHEN relkind = 'p' THEN 'partition by ' || pg_get_partkeydef(oid) ELSE 'plain' END
               || CASE WHEN secured THEN ', row security forced' ELSE '' END AS fact
        FROM ours ORDER BY name""",
    "column": """
        SELECT o.name, concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
               CASE WHEN a.attnotnull THEN 'NOT NULL' ELSE 'NULL' END, CASE WHEN a.attidentity = 'd' THEN 'IDENTITY' END,
               CASE a.attgenerated WHEN 's' THEN 'AS' ELSE 'DEFAULT' END || ' ' || pg_get_expr(d.adbin, d.adrelid)) AS fact
        FROM ours o JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = o.oid AND d.adnum = a.attnum ORDER BY o.name, a.attnum""",
    # From Postgres 18 on, NOT NULL is a constraint too: it stands with its column.
    "constraint": """
        SELECT o.name, c.conname || ' ' || pg_get_constraintdef(c.oid) AS fact
        FROM ours o JOIN pg_constraint c ON c.conrelid = o.oid WHERE c.contype <> 'n' ORDER BY o.name, c.conname""",
    "index": """
        SELECT o.name, i.relname || ' ' || substring(pg_get_indexdef(i.oid) FROM ' USING .*')
               || CASE WHEN x.indisunique THEN ' unique' ELSE '' END AS fact
        FROM ours o JOIN pg_index x ON x.indrelid = o.oid JOIN pg_class i ON i.oid = x.indexrelid
        WHERE NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.oid AND c.contype IN ('p', 'u'))
        ORDER BY o.name, i.relname""",
    "policy": """
        SELECT o.name, p.polname || ' USING ' || regexp_replace(pg_get_expr(p.polqual, p.polrelid), '\\s+', ' ', 'g') AS fact
        FROM ours o JOIN pg_policy p ON p.polrelid = o.oid ORDER BY o.name, p.polname""",
    "function": """
        SELECT '(database)' AS name, proname || '(' || pg_get_function_identity_arguments(oid) || ') RETURNS '
               || pg_get_function_result(oid) AS fact
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY fact""",
}


async def schema_facts(connection: AsyncConnection) -> list[str]:
    """Return what there is in a database, a line each, `table: kind fact`, in a readable order."""
    facts: dict[str, list[str]] = {}
    for kind, query in _FACTS.items():
        for row in await connection.execute(text(f"WITH {_OURS} {query}")):
            facts.setdefault(row.name, []).append(f"{row.name}: {kind} {_plain(row.fact)}")
    return [line for name in sorted(facts) for line in facts[name]]


def _plain(fact: str) -> str:
    """Return a fact without the casts and arrays that Postgres makes of a list of words."""
    short = re.sub(r"::(character varying|text|regclass)\b(\[\])?", "", " ".join(fact.split()))
    return re.sub(r"\(?(\w+)\)? = ANY \(\(?ARRAY\[([^\]]*)\]\)?\)", r"\1 IN (\2)", short)


def written_facts() -> list[str]:
    """Return the lines of the file."""
    return [line for line in WRITTEN.read_text(encoding="utf-8").splitlines() if line]


async def _write(urls: ServerUrls) -> None:
    engine = make_engine(urls.sqlalchemy, pool_size=1)
    await migrate(engine)
    async with engine.connect() as connection:
        lines = await schema_facts(connection)
    await engine.dispose()
    blocks: dict[str, list[str]] = {}
    for line in lines:
        blocks.setdefault(line.partition(":")[0], []).append(line)
    WRITTEN.write_text("\n\n".join("\n".join(block) for block in blocks.values()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, running(Path(folder), durable=False) as servers:
        asyncio.run(_write(ServerUrls(servers.database_url, servers.redis_url)))
