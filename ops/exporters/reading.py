"""Walks through what an account has, a page at a time, and pairs each position with the deals that made it."""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from itertools import groupby
from typing import Any

from db.export_rows import PAGE, ExportRepository, Rows
from ops.exporters.errors import UnsoundRecordError
from ops.exporters.trades import check_deals

Row = Mapping[str, Any]


async def positions(rows: ExportRepository) -> AsyncIterator[tuple[Row, list[Row]]]:
    """Yield every position with its deals: those that are over as they closed, then those held, by share."""
    page = await rows.closed_positions()
    while page:
        async for one in _with_deals(rows, page):
            yield one
        page = await rows.closed_positions(page[-1]["closed_at"], page[-1]["id"]) if len(page) == PAGE else ()
    page = await rows.open_positions()
    while page:
        async for one in _with_deals(rows, page):
            yield one
        page = await rows.open_positions(page[-1]["symbol"]) if len(page) == PAGE else ()


async def walked(page_after: Callable[..., Awaitable[Rows]], *names: str) -> AsyncIterator[Row]:
    """Yield the rows of every page. names: of the columns that say where a page ended."""
    page = await page_after()
    while page:
        for row in page:
            yield row
        page = await page_after(*(page[-1][name] for name in names)) if len(page) == PAGE else ()


async def _with_deals(rows: ExportRepository, page: Rows) -> AsyncIterator[tuple[Row, list[Row]]]:
    """Yield a page's positions with their deals; whose deals do not add up is looked at again in all of the record."""
    deals = _by_position(await rows.deals(page))
    unsound = [one for one in page if not _is_sound(one, deals[one["id"]])]
    deals |= _by_position(await rows.deals(unsound, near=False))
    for position in page:
        check_deals(position, deals[position["id"]])
        yield position, deals[position["id"]]


def _by_position(deals: Rows) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for position_id, group in groupby(deals, key=lambda one: int(one["position_id"])):
        found[position_id] = list(group)
    return found


def _is_sound(position: Row, deals: list[Row]) -> bool:
    try:
        check_deals(position, deals)
    except UnsoundRecordError:
        return False
    return True
