"""Dates in HTTP headers (RFC 9110, section 5.6.7)."""

from datetime import datetime
from email.utils import parsedate_to_datetime


def parse_date(text: str) -> datetime | None:
    """Return the moment that a header names, naive where it says no zone; `None` where it names none."""
    try:
        return parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter of a year or a zone too large
        return None
