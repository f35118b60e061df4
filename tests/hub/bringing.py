"""Plans, fetches and registers one source, and prints what that took. Run by `tests.formats.spending`."""

import asyncio
import sys
from pathlib import Path

from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    HubConfig,
    HubService,
    ModelService,
    StorageConfig,
    StorageService,
    create_engine,
    setup_database,
)
from tests.formats.spending import main


async def _brought(hub: HubService, source: str) -> str:
    plan = await hub.plan(source)
    fetched = await hub.fetch(plan)
    engine = create_engine(f"sqlite:///{Path(sys.argv[3]) / 'registry.db'}")
    setup_database(engine)
    with Session(engine) as db, db.begin():
        version = ModelService(db).register(fetched, name="many")
    engine.dispose()
    numbers = (plan.bytes_to_fetch, plan.bytes_kept, fetched.bytes_fetched, fetched.bytes_reused, version.size)
    return " ".join(map(str, (len(fetched.files), *numbers, fetched.details.get("format"))))


if __name__ == "__main__":
    store = StorageService(StorageConfig(root=Path(sys.argv[3]) / "store"))
    service = HubService(storage=store, config=HubConfig(hf_endpoint=sys.argv[2]))
    main(lambda: asyncio.run(_brought(service, sys.argv[1])))
