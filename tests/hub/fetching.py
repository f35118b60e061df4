"""Fetches URLs into a store, in a process of its own, and prints how many bytes travelled.

Usage: ``python -m tests.hub.fetching ROOT URL…``.
"""

import asyncio
import sys
from pathlib import Path

from kamiwaza_sdk import HubService, StorageConfig, StorageService

if __name__ == "__main__":
    hub = HubService(storage=StorageService(StorageConfig(root=Path(sys.argv[1]))))
    print(asyncio.run(hub.fetch(sys.argv[2:])).bytes_fetched)  # noqa: T201 - what the caller reads
