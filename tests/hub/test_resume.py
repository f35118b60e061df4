"""What a fetch that did not come to its end leaves in the store, and what the next one makes of it."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from kamiwaza_sdk import DownloadInterruptedException, HubService, StorageService
from kamiwaza_sdk.testing import FaultyServer, GeneratedBody, Rate, Truncate

MIB = 1024**2
BODY = GeneratedBody(9 * MIB, seed=4)
SHA256 = hashlib.sha256(BODY.read(0, BODY.size)).hexdigest()


def staging(storage: StorageService) -> list[Path]:
    return sorted(path.relative_to(storage.root / "staging") for path in (storage.root / "staging").rglob("*"))


@pytest.mark.parametrize("sha256", [None, SHA256])
async def test_a_fetch_goes_on_where_the_last_one_broke_off(
    sha256: str | None, hub: HubService, storage: StorageService, faulty_server: FaultyServer
) -> None:
    url = faulty_server.add("/m/model.bin", body=BODY, faults=[Truncate(at=7 * MIB)])
    with pytest.raises(DownloadInterruptedException):
        await hub.fetch(url, sha256=sha256)
    fetched = await HubService(storage=storage).fetch(url, sha256=sha256)
    assert (fetched.size, fetched.bytes_reused) == (BODY.size, BODY.size - fetched.bytes_fetched)
    assert 0 < fetched.bytes_fetched < 4 * MIB
    assert storage.verify(SHA256).size == BODY.size
    assert staging(storage) == []


async def test_one_of_many_fetches_of_the_same_at_once_brings_it(
    storage: StorageService, faulty_server: FaultyServer
) -> None:
    url = faulty_server.add("/m/model.bin", body=BODY, always=Rate(30 * MIB))
    hubs = [HubService(storage=storage) for _ in range(4)]
    fetched = await asyncio.gather(*(hub.fetch(url) for hub in hubs))
    assert {one.files[0].sha256 for one in fetched} == {SHA256}
    assert sum(one.bytes_fetched for one in fetched) == BODY.size
    assert staging(storage) == []
