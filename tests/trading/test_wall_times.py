from datetime import UTC, datetime, timedelta

import pytest

from tests.trading.tz_jumps import FIRST, LAST, Jump, jumps_by_zone, nearest, one_of_each
from trading.wall_times import stretch_at, zone_names


def found(zone: str) -> list[Jump]:
    """Return a zone's jumps by walking from stretch to stretch."""
    jumps: list[Jump] = []
    at, last = FIRST.replace(tzinfo=None), LAST.replace(tzinfo=None)
    while at <= last:
        stretch = stretch_at(zone, at)
        if stretch.begins == at and stretch.before != stretch.offset:
            jumps.append(Jump(at.replace(tzinfo=UTC), stretch.before, stretch.offset))
        at = min(stretch.ends, datetime(at.year + 1, 1, 1))  # noqa: DTZ001  # UTC
    return jumps


def test_the_stretches_of_every_zone_meet_at_the_jumps_of_the_database() -> None:
    assert len(jumps_by_zone()) > 400
    assert {zone: found(zone) for zone in one_of_each()} == {zone: [*jumps] for zone, jumps in one_of_each().items()}


def test_no_zone_jumps_twice_between_two_looks() -> None:
    assert min(nearest(jumps) for jumps in jumps_by_zone().values()) > timedelta(days=2)


def test_a_jump_near_the_turn_of_a_year_is_seen_from_either() -> None:
    near = [(zone, jump) for zone, jumps in one_of_each().items() for jump in jumps if jump.at.month in (1, 12)]
    assert near
    for zone, jump in near:
        at = jump.at.replace(tzinfo=None)
        stretch = stretch_at(zone, at - timedelta(seconds=1))
        assert (stretch.ends, stretch.offset, stretch.after) == (at, jump.before, jump.after)


@pytest.mark.parametrize("name", ["localtime", "Factory", "posixrules"])
def test_what_is_no_place_is_no_zone(name: str) -> None:
    assert name not in zone_names().values()
