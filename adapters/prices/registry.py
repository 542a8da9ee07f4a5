"""Which price source a setting means: the one place that knows them all."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from adapters.prices.base import PriceSource, PriceSourceError
from adapters.prices.folder import FolderPrices
from adapters.prices.simulated import SimulatedPrices


def open_source(spec: str, sessions: Sequence[date]) -> PriceSource:
    """Return the source of a spec: `simulated:SEED`, `simulated:SEED:SYMBOLS`, `folder:PATH` or an existing folder.

    sessions: the exchange days a simulation has bars for, strictly rising; a folder does not look at them.
    Raises PriceSourceError when the spec is none of these or its folder does not exist.
    """
    kind, _, rest = spec.strip().partition(":")
    if kind == "simulated":
        return _simulated(spec, rest, sessions)
    if (folder := folder_of(spec)) is not None:
        return FolderPrices(folder)
    raise _unknown(spec)


def folder_of(spec: str) -> Path | None:
    """Return the absolute path of the folder that a spec means, None if it means none."""
    kind, _, rest = spec.strip().partition(":")
    if kind == "folder" and rest:
        return Path(rest).expanduser().absolute()
    path = Path(spec.strip()).expanduser()
    return path.absolute() if spec.strip() and path.is_dir() else None


def _simulated(spec: str, rest: str, sessions: Sequence[date]) -> SimulatedPrices:
    numbers = rest.split(":")
    if len(numbers) > 2 or not all(number.isascii() and number.isdigit() for number in numbers):
        raise _unknown(spec)
    return SimulatedPrices(int(numbers[0]), sessions, *map(int, numbers[1:]))


def _unknown(spec: str) -> PriceSourceError:
    cure = "expected simulated:SEED[:SYMBOLS] such as simulated:7:120, or folder:PATH such as folder:bars/nifty50"
    return PriceSourceError(f"price source {spec!r} is not known; {cure}")
