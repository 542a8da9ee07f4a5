"""What the system owned of a share, beside what the user held before: one tracking a record."""

import json
from pathlib import Path
from typing import Any

import pytest

from ops.importers.entry import Entry
from ops.importers.fields import RefusedRecordError
from ops.importers.tracked_file import read_tracking, tracked_entries
from tests.ops.importers.old_files import ground, told, tracked


def _entries(folder: Path, value: object, encoding: str = "utf-8-sig") -> list[Entry]:
    path = folder / "system_recommended_symbols.json"
    path.write_text(json.dumps(value), encoding=encoding)
    return list(tracked_entries(path, ground(), lambda _: None))


@pytest.mark.parametrize("shape", [[tracked()], {"symbols": [tracked()]}])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "utf-16"])
def test_both_shapes_are_read_with_a_mark_of_their_encoding_or_none(
    tmp_path: Path, shape: object, encoding: str
) -> None:
    [entry] = _entries(tmp_path, shape, encoding)
    one = entry.tracking
    assert one is not None
    assert (one.symbol, one.system_quantity, one.tracked_quantity, one.pre_existing_quantity) == ("DEMO1", 100, 100, 7)
    assert (one.tracking_id, one.status, one.initial_order_id) == ("track-DEMO1-1", "active", "240102000111222")
    assert one.facts == {"all_related_orders": ["240102000111222"]}


@pytest.mark.parametrize(
    ("word", "status"), [("active", "active"), ("COMPLETED", "completed"), ("closed", "completed")]
)
def test_a_status_is_mapped(word: str, status: str) -> None:
    assert read_tracking(tracked(tracking_status=word)).status == status


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"tracking_status": "paused"}, "unmapped"),
        ({"tracking_status": None}, "missing"),
        ({"system_qty": -1}, "bad_quantity"),
        ({"pre_existing_qty": "some"}, "bad_number"),
        ({"tracking_started_at": None}, "missing"),
        ({"symbol": None, "ticker": None}, "missing"),
    ],
)
def test_what_is_no_tracking_is_refused_with_its_kind(changes: dict[str, Any], kind: str) -> None:
    with pytest.raises(RefusedRecordError) as refused:
        read_tracking(tracked(**changes))
    assert refused.value.kind == kind


def test_a_tracking_without_an_id_gets_one_by_its_share_and_time() -> None:
    assert read_tracking(tracked(id=None)).tracking_id == "track-DEMO1-20240102034511"


def test_nothing_of_a_share_that_is_sold_is_told_as_nothing() -> None:
    assert read_tracking(tracked(current_tracked_qty=0)).tracked_quantity == 0
    assert read_tracking(tracked(current_tracked_qty=None)).tracked_quantity == 100


def test_the_same_tracking_twice_is_one_and_a_refused_one_leaves_its_neighbours(tmp_path: Path) -> None:
    entries = _entries(tmp_path, [tracked(), tracked(), None, tracked("OTHER")])
    assert told(entries) == [
        ("[0]", "imported", ""), ("[1]", "merged", "twice"), ("[2]", "error", "no_record"), ("[3]", "imported", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("shape", [{"recommended": [tracked()]}, {"symbols": {"DEMO1": tracked()}}])
def test_records_where_none_are_looked_for_are_told(tmp_path: Path, shape: object) -> None:
    [entry] = _entries(tmp_path, shape)
    assert (entry.outcome.value, entry.kind) == ("error", "no_section")
