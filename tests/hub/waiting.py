"""Plans two sources, and prints how long the event loop waited for the second. Run by `tests.formats.spending`."""

import asyncio
import gc
import sys
from pathlib import Path

from kamiwaza_sdk import HubConfig, HubService, StorageConfig, StorageService
from tests.formats.spending import main
from tests.loops import longest_wait


async def _waited(hub: HubService, warming: str, source: str) -> float:
    await hub.plan(warming)  # which imports what is imported when it is first used
    gc.collect()
    gc.freeze()  # what was there before costs every full collection its time, whoever makes the objects
    return (await longest_wait(hub.plan(source)))[1]


if __name__ == "__main__":
    store = StorageService(StorageConfig(root=Path(sys.argv[4])))
    service = HubService(storage=store, config=HubConfig(hf_endpoint=sys.argv[3]))
    main(lambda: asyncio.run(_waited(service, sys.argv[1], sys.argv[2])))
