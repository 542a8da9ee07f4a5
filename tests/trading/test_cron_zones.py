"""What becomes of a cron's moments where clocks jump: every jump of every zone, and any moment of any zone."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.cron_oracle import DAY, Clocks, fires
from tests.trading.tz_jumps import Jump, one_of_each
from trading.cron import FOLDS, GAPS, Cron
from trading.triggers import parse_trigger

JUMPS = [(zone, jump) for zone, jumps in one_of_each().items() for jump in jumps]
POLICIES = [*product(GAPS, FOLDS)]


def cron(clocks: Clocks, zone: str, gap: str, fold: str) -> Cron:
    trigger = parse_trigger(f"cron {clocks.fields()} * * * in {zone}, gap {gap}, fold {fold}")
    assert isinstance(trigger, Cron)
    return trigger


def chain(trigger: Cron, after: datetime, until: datetime) -> list[datetime]:
    """Return the moments of (after, until], each asked for from the one before."""
    found: list[datetime] = []
    moment = trigger.next_due(after)
    while moment is not None and moment <= until:
        found.append(moment)
        moment = trigger.next_due(moment)
    return found


def middle(jump: Jump) -> datetime:
    """Return the wall time in the middle of what a jump leaves out or doubles, to the second."""
    wall = jump.at.replace(tzinfo=None) + min(jump.before, jump.after)
    return wall + abs(jump.after - jump.before) // timedelta(seconds=2) * timedelta(seconds=1)


def around(jump: Jump) -> tuple[datetime, datetime]:
    """Return a span in which a daily time in a jump comes up on the jump's day and one or more on either side."""
    return jump.at - 2 * DAY, jump.at + 2 * DAY


# A jump leaves out or doubles: each policy of either is tried at all of them.
@pytest.mark.parametrize(("gap", "fold"), [("skip", "first"), ("shift", "second"), ("shift", "both")])
def test_a_daily_time_in_any_jump_fires_as_its_policies_say(gap: str, fold: str) -> None:
    for zone, jump in JUMPS:
        clocks, span = Clocks.of(middle(jump).time()), around(jump)
        found = chain(cron(clocks, zone, gap, fold), *span)
        assert found == fires(clocks, zone, one_of_each()[zone], span, gap, fold), (zone, jump)
        assert all(earlier < later for earlier, later in pairwise(found))
        _count(found, jump, middle(jump), gap, fold)


def _count(found: list[datetime], jump: Jump, wall: datetime, gap: str, fold: str) -> None:
    """Hold the jump's own wall time: left out, at the jump, once or twice; and no other day is lost."""
    own = [at for at in found if _wall(at, jump) == wall]
    if jump.is_gap:
        assert own == []
        assert (jump.at in found) is (gap == "shift")
    else:
        assert [at < jump.at for at in own] == {"first": [True], "second": [False], "both": [True, False]}[fold]
    days = {_wall(at, jump).date() for at in found}
    assert {wall.date() - DAY, wall.date() + DAY} <= days


def _wall(at: datetime, jump: Jump) -> datetime:
    """Return what the clock of a jump's zone shows at a moment near the jump."""
    return at.replace(tzinfo=None) + (jump.before if at < jump.at else jump.after)


def test_a_rhythm_goes_on_in_elapsed_time_through_any_jump() -> None:
    quarter = timedelta(minutes=15)
    for zone, jump in JUMPS:
        trigger = parse_trigger(f"cron */15 * * * * in {zone}")
        assert isinstance(trigger, Cron)
        begin = jump.at - 2 * quarter - jump.at.minute % 15 * timedelta(minutes=1)  # Newfoundland jumps at 00:01
        found = chain(trigger, begin - timedelta(seconds=1), begin + 6 * quarter)
        assert found == [begin + n * quarter for n in range(7)], (zone, jump)


def test_a_time_that_is_there_once_fires_once_whatever_the_policies_are() -> None:
    for zone, jump in JUMPS[::7]:
        clocks = Clocks.of((middle(jump) + 12 * timedelta(hours=1)).time())
        if abs(jump.after - jump.before) >= timedelta(hours=12):
            continue
        (first, *others) = (chain(cron(clocks, zone, *policy), *around(jump)) for policy in POLICIES)
        assert all(found == first for found in others)
        assert len(first) in (3, 4)


times = st.builds(
    Clocks,
    st.sampled_from([(0,), (7, 30), (59,)]),
    st.lists(st.integers(0, 59), min_size=1, max_size=3, unique=True).map(tuple),
    st.lists(st.integers(0, 23), min_size=1, max_size=4, unique=True).map(tuple),
)


@given(st.sampled_from(JUMPS), times, st.sampled_from(POLICIES), st.integers(-200_000, 200_000), st.integers(0, 10**6))
def test_any_times_near_any_jump_are_the_same_from_any_starting_point(
    of: tuple[str, Jump], clocks: Clocks, policy: tuple[str, str], seconds: int, microseconds: int
) -> None:
    zone, jump = of
    after = jump.at + timedelta(seconds=seconds, microseconds=microseconds)
    expected = fires(clocks, zone, one_of_each()[zone], (after, after + 4 * DAY), *policy)
    trigger = cron(clocks, zone, *policy)
    assert trigger.next_due(after) == expected[0]
    assert chain(trigger, after, after + 4 * DAY) == expected


NEW_YORK = [
    # 2026-03-08 02:00 jumps to 03:00; 2026-11-01 02:00 falls back to 01:00.
    ("30 2 * * *", "2026-03-08", ["07:00"]), ("30 2 * * *, gap skip", "2026-03-08", []),
    ("*/20 2 * * *", "2026-03-08", []), ("*/20 2 * * *, gap shift", "2026-03-08", ["07:00"]),
    ("0,30 2,3 * * *", "2026-03-08", ["07:00", "07:30"]), ("30 1 * * *", "2026-11-01", ["05:30"]),
    ("30 1 * * *, fold second", "2026-11-01", ["06:30"]), ("30 1 * * *, fold both", "2026-11-01", ["05:30", "06:30"]),
    ("30 * 1 11 *, fold first", "2026-11-01", ["04:30", "05:30", "07:30"]),
    ("0 1-2 * * *", "2026-11-01", ["05:00", "07:00"]), ("30 */1 1 11 *", "2026-11-01", ["04:30", "05:30", "06:30", "07:30"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "day", "moments"), NEW_YORK)
def test_the_policies_by_example(text: str, day: str, moments: list[str]) -> None:
    fields, comma, policy = text.partition(", ")
    trigger = parse_trigger(f"cron {fields} in America/New_York{comma}{policy}")
    assert isinstance(trigger, Cron)
    begin = datetime.fromisoformat(f"{day}T04:00+00:00")
    found = chain(trigger, begin, begin + timedelta(hours=3, minutes=45))
    assert [f"{moment:%H:%M}" for moment in found] == moments


def test_a_day_that_a_zone_left_out_is_left_out_or_made_up_for_at_the_jump() -> None:
    after, until = datetime(2011, 12, 28, tzinfo=UTC), datetime(2012, 1, 1, tzinfo=UTC)
    skips, shifts = (chain(cron(Clocks.of(time(9)), "Pacific/Apia", gap, "first"), after, until) for gap in GAPS)
    assert [f"{at:%m-%d %H:%M}" for at in skips] == ["12-28 19:00", "12-29 19:00", "12-30 19:00", "12-31 19:00"]
    assert sorted({*shifts} - {*skips}) == [datetime(2011, 12, 30, 10, tzinfo=UTC)]
