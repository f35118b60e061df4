"""Child processes of the tests."""

from multiprocessing import get_context
from typing import Final

#: Forks from a process that has no threads, and has imported what takes long.
FRESH: Final = get_context("forkserver")
FRESH.set_forkserver_preload(
    [
        "kamiwaza_sdk.database",
        "kamiwaza_sdk.services.model.services",
        "tests.backends",
        "tests.download.torture.children",
    ]
)
