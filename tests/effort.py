"""How much a test tries: little in every run, and all of it where time is no matter (``nox -s torture``)."""

import os
from typing import Final, TypeVar

T = TypeVar("T")

#: Whether everything is tried.
THOROUGH: Final = bool(os.environ.get("KAMIWAZA_TEST_THOROUGH"))


def effort(usual: T, thorough: T) -> T:
    """Return what is tried in this run.

    Args:
        usual: In every run.
        thorough: Where ``KAMIWAZA_TEST_THOROUGH`` is set.
    """
    return thorough if THOROUGH else usual
