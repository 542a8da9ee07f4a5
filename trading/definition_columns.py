"""Values of a schedule's columns by their kind, from rows, JSON or a command line."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from trading.errors import BadDefinition

AN_HOUR = "3600"
A_MOMENT = "2026-12-01T10:00+05:30"


class Columns:
    """Columns by name. Each method raises BadDefinition for a value that is not of its kind."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def text(self, field: str, example: str, default: str | None = None) -> str:
        """Return a text that is not empty."""
        value = self._values.get(field, default)
        if not isinstance(value, str) or not value:
            raise BadDefinition(field, value, "it must be a text that is not empty", example)
        return value

    def text_or_none(self, field: str, example: str) -> str | None:
        """Return a text that is not empty, or None where there is none."""
        return None if self._values.get(field) is None else self.text(field, example)

    def number(self, field: str, example: str) -> int | None:
        """Return a whole number, or None where there is none."""
        value = self._values.get(field)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise BadDefinition(field, value, "it must be a whole number", example)
        return value

    def span(self, field: str) -> timedelta | None:
        """Return a number of seconds as a length of time, or None where there is none."""
        seconds = self.number(field, AN_HOUR)
        try:
            return None if seconds is None else timedelta(seconds=seconds)
        except OverflowError as error:
            raise BadDefinition(field, seconds, "no length of time is that long", AN_HOUR) from error

    def moment(self, field: str) -> datetime | None:
        """Return an aware moment or an ISO text as UTC, or None where there is none."""
        value = self._values.get(field)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        except ValueError as error:
            raise BadDefinition(field, value, "it is not a moment", A_MOMENT) from error
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            raise BadDefinition(field, value, "it must be a moment with a time zone", A_MOMENT)
        return moment.astimezone(UTC)
