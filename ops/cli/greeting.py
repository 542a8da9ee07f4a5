"""What `muhurat up` says before its processes start: where things are, which prices it takes, what is still missing."""

import asyncio

from adapters.prices.registry import folder_of
from db.bars import BarRepository
from db.engine import make_engine
from db.lookups import LookupRepository
from db.transaction import Database
from ops.local import FOLDER

_OTHER = "in another terminal of this folder: MUHURAT_LOCAL=1 muhurat"


def greeting(url: str, prices: str, *, chosen: bool) -> list[str]:
    """Return the lines. url: of the database. prices: the source's spec. chosen: somebody chose it."""
    why = "" if chosen else " (MUHURAT_PRICES is not set)"
    lines = [f"servers in {FOLDER}, prices: {prices}{why}; Ctrl-C stops everything"]
    if (folder := folder_of(prices)) is not None:
        lines.append(
            f"{folder} is asked every ten minutes from a quarter past the close on, for five hours: put the day's bars "
            "there as YYYY-MM-DD.csv with symbol,open,high,low,close,volume, written under another name and renamed"
        )
    return [*lines, *asyncio.run(_missing(url, prices)), f"how it goes, {_OTHER} status"]


async def _missing(url: str, prices: str) -> list[str]:
    database = Database(make_engine(url, pool_size=1, application="muhurat up"))
    try:
        async with database.reading(None) as session:
            loaded = await BarRepository(session).last_whole_day()
            users = await LookupRepository(session).users(1)
    finally:
        await database.close()
    lines = []
    if loaded is None:
        lines.append(
            f"no bars are loaded yet: without a past nothing is bought; {_OTHER} prices load {prices} --as NAME"
        )
    if not users:
        lines.append(f"nobody trades yet; {_OTHER} users add EMAIL --as NAME, then users start EMAIL --as NAME")
    return lines
