"""A transaction is a user's or the system's; and whoever writes knows every table."""

import asyncio
import subprocess
import sys
from pathlib import Path

from config.servers import ServerUrls
from db.transaction import Database
from tests.people import person, scalar

ROOT = Path(__file__).parents[2]

_WRITER = """
import asyncio, sys
from db.engine import make_engine
from db.error_logs import ErrorLogRow
from db.transaction import Database

async def write():
    database = Database(make_engine(sys.argv[1]))
    assert "db.users" not in sys.modules
    async with database.transaction(None) as session:
        session.add(ErrorLogRow(user_id=int(sys.argv[2]), error_type="Oversold", error_message="sold too much"))
    await database.close()

asyncio.run(write())
"""


async def test_a_process_that_imports_one_table_can_write_rows_whose_foreign_keys_name_another(
    database: Database, urls: ServerUrls
) -> None:
    asha = await person(database)
    command = [sys.executable, "-c", _WRITER, urls.sqlalchemy, str(asha.user_id)]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert await scalar(database, "SELECT error_type FROM error_logs") == "Oversold"
