"""No call of a fake opens a connection or looks up a name: neither those of today nor those that are to come."""

import asyncio
import inspect
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NoReturn

import pytest

from kamiwaza_sdk import DownloadRequest, DownloadService, HubService, InvalidInputException
from kamiwaza_sdk.testing import FakeDownloads, FakeHub

URL: Final = "https://example.org/m/model.bin"
#: What both fakes have.
FILES: Final = {"model.bin": b"weights"}
#: Every way out of a process that the standard library knows, and with it aiohttp.
WAYS_OUT: Final = [
    *((socket.socket, name) for name in ("connect", "connect_ex", "sendto", "sendmsg")),
    *((socket, name) for name in ("getaddrinfo", "gethostbyname", "gethostbyaddr", "getnameinfo")),
    *((asyncio.SelectorEventLoop, name) for name in ("getaddrinfo", "sock_connect", "create_connection")),
]


def calls(kind: type[FakeDownloads | FakeHub]) -> list[str]:
    return [name for name, value in inspect.getmembers(kind, callable) if not name.startswith("_")]


def arguments(call: Callable[..., object], place: Path) -> dict[str, object]:
    """Return what a call must be given. Of one that takes something else it is to be said here what that is."""
    known: dict[str, object] = {
        "url": URL,
        "path": place,
        "max_size": 10,
        "offset": 1,
        "length": 2,
        "requests": [DownloadRequest(url=URL, path=place)],
        "source": "hf://org/tiny",
        "sources": ["hf://org/tiny"],
    }
    parameters = inspect.signature(call).parameters.values()
    return {each.name: known[each.name] for each in parameters if each.default is each.empty}


async def outcome(result: object) -> object:
    if inspect.isasyncgen(result):
        return [each async for each in result]
    return await result if inspect.isawaitable(result) else result


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where whatever would leave this process is noted: that it fails, too, may be caught by whom it fails."""
    seen: list[str] = []

    def closed(name: str) -> Callable[..., NoReturn]:
        def refuse(*arguments: object, **_: object) -> NoReturn:
            seen.append(f"{name}{arguments}")
            raise OSError(f"{name} is not for fakes")

        return refuse

    for place, name in WAYS_OUT:
        monkeypatch.setattr(place, name, closed(name))
    return seen


@pytest.mark.parametrize("name", calls(FakeDownloads))
async def test_no_call_of_the_fake_downloads_opens_a_socket(seen: list[str], tmp_path: Path, name: str) -> None:
    downloads = FakeDownloads(FILES)
    call = getattr(downloads, name)
    await outcome(call(**arguments(call, tmp_path / "m")))
    assert (seen, len(downloads.calls)) == ([], 1)


@pytest.mark.parametrize("name", calls(FakeHub))
async def test_no_call_of_the_fake_hub_opens_a_socket(seen: list[str], tmp_path: Path, name: str) -> None:
    hub = FakeHub(FILES)
    call = getattr(hub, name)
    await outcome(call(**arguments(call, tmp_path)))
    assert seen == []
    hub.error = InvalidInputException("source", "is none")
    if name == "mirror":
        mirrored = await hub.mirror(["hf://org/tiny"], executor=ThreadPoolExecutor(1))
        assert [(item.error, item.reason) for item in mirrored.items] == [("InvalidInputException", "source is none")]
    else:
        with pytest.raises(InvalidInputException, match="is none"):
            await outcome(call(**arguments(call, tmp_path)))
    assert seen == []


async def test_the_guard_sees_what_the_real_ones_do(seen: list[str], tmp_path: Path) -> None:
    for real in (DownloadService().read(URL, max_size=10), HubService().fetch(URL), anext(HubService().search())):
        seen.clear()
        with pytest.raises(OSError, match="not for fakes|no connection"):
            await real
        assert seen != []


def test_there_are_calls_to_look_at() -> None:
    assert {"download", "download_many", "get", "read", "read_range", "start"} <= set(calls(FakeDownloads))
    assert {"adopt", "fetch", "plan", "resolve", "search"} <= set(calls(FakeHub))
