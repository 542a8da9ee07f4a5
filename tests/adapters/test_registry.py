"""Which price source a setting means."""

import asyncio
from datetime import date
from pathlib import Path

import pytest

from adapters.prices.base import PriceSourceError
from adapters.prices.folder import FolderPrices
from adapters.prices.registry import folder_of, open_source
from adapters.prices.simulated import SimulatedPrices

SESSIONS = [date(2024, 1, 1), date(2024, 1, 2)]


@pytest.mark.parametrize(
    ("spec", "name", "symbols"),
    [
        ("simulated:7", "simulated (seed 7)", 120),
        ("simulated:0:3", "simulated (seed 0)", 3),
        (" simulated:12:1 ", "simulated (seed 12)", 1),
    ],
)
def test_a_simulation_is_opened_with_its_seed_and_symbols(spec: str, name: str, symbols: int) -> None:
    source = open_source(spec, SESSIONS)
    assert isinstance(source, SimulatedPrices)
    assert source.name == name
    assert len(asyncio.run(source.symbols())) == symbols


@pytest.mark.parametrize("form", ["folder:{}", "{}", " folder:{} ", "{}/"])
def test_a_folder_is_opened_by_its_path(tmp_path: Path, form: str) -> None:
    source = open_source(form.format(tmp_path), SESSIONS)
    assert isinstance(source, FolderPrices)
    assert source.name == f"folder {tmp_path.name}"


@pytest.mark.parametrize(
    "spec",
    ["", " ", "simulated", "simulated:", "simulated:x", "simulated:-1", "simulated:7:", "simulated:7:8:9", "folder:",
     "yahoo:INFY", "no/such/folder", "simulated:²"],
)  # fmt: skip
def test_anything_else_is_refused_with_both_examples(spec: str) -> None:
    with pytest.raises(PriceSourceError) as caught:
        open_source(spec, SESSIONS)
    for words in (repr(spec), "simulated:SEED[:SYMBOLS]", "folder:PATH"):
        assert words in str(caught.value)


def test_a_named_folder_that_is_not_there_is_refused_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(PriceSourceError, match=r"nowhere: is not a folder"):
        open_source(f"folder:{tmp_path / 'nowhere'}", SESSIONS)


def test_a_simulation_of_no_symbols_is_refused() -> None:
    with pytest.raises(PriceSourceError, match="0 symbols; use 1 to 2000"):
        open_source("simulated:7:0", SESSIONS)


def test_a_folder_named_from_here_is_the_same_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bars").mkdir()
    monkeypatch.chdir(tmp_path)
    assert [folder_of(spec) for spec in ("folder:bars", "bars", "simulated:7")] == [tmp_path / "bars"] * 2 + [None]
