"""Asynchronous calls under an event loop that is not asyncio's: one typed error."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.ext.asyncio.session import AsyncSession

from kamiwaza_sdk import AsyncioRequiredException, AsyncModelService, DownloadRequest, DownloadService, HubService

URL = "http://127.0.0.1:9/model.bin"


async def entered() -> None:
    async with DownloadService():
        raise AssertionError("not reached")


async def started() -> None:
    DownloadService().start(URL, Path("m"))  # type: ignore[unused-awaitable]  # it is refused before


async def searched() -> None:
    async for _ in HubService().search("minilm"):
        raise AssertionError("not reached")


async def listed() -> None:
    await AsyncModelService(AsyncSession(create_async_engine("sqlite+aiosqlite://"))).list_models()


CALLS: dict[str, Callable[[], Awaitable[object]]] = {
    "download": lambda: DownloadService().download(URL, Path("m")),
    "download_many": lambda: DownloadService().download_many([DownloadRequest(url=URL, path=Path("m"))]),
    "read": lambda: DownloadService().read(URL, max_size=1),
    "get": lambda: DownloadService().get(URL, max_size=1),
    "read_range": lambda: DownloadService().read_range(URL, offset=0, length=1),
    "start": started,
    "async with": entered,
    "fetch": lambda: HubService().fetch(URL),
    "resolve": lambda: HubService().resolve(URL),
    "plan": lambda: HubService().plan(URL),
    "adopt": lambda: HubService().adopt("hf://org/minilm"),
    "search": searched,
    "list_models": listed,
}


@pytest.mark.parametrize("call", CALLS)
def test_under_trio_a_call_says_what_it_needs(call: str) -> None:
    async def run() -> None:
        await CALLS[call]()

    with pytest.raises(AsyncioRequiredException, match=r"asyncio\.run"):
        trio.run(run)
