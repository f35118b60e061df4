"""No error that leaves the library leads back to itself, by whatever way its causes are followed."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kamiwaza_sdk import HubService, ServiceException, StorageService
from kamiwaza_sdk._tasks import all_or_first_error
from kamiwaza_sdk.testing import HuggingFaceServer
from tests.error_graphs import find_cycle, refuse_cycle
from tests.formats.test_content import PAGE
from tests.hub.conftest import Asking
from tests.serving import Server

WRONG = "ab" * 32

Failing = Callable[["Given"], Awaitable[object]]


class Given:
    """What the failing calls work with."""

    def __init__(self, hub: HubService, asking: HubService, server: Server, place: Path) -> None:
        self.hub = hub
        self.asking = asking
        self.server = server
        self.place = place
        self.urls = [server.add(f"/m/{name}.bin", body=name.encode()) for name in "abc"]
        self.missing = server.url("/m/missing.bin")


@pytest.fixture
async def given(hub: HubService, asking: Asking, hf: HuggingFaceServer, server: Server, tmp_path: Path) -> Given:
    """A hub with a repository that everybody may read and one that not, and a server with three files."""
    hf.add_repository("org/tiny", {"model.safetensors": bytes(100), "config.json": b"{}"})
    hf.add_repository("org/gated", {"config.json": b"{}"}, gated=True)
    return Given(hub, await asking(), server, tmp_path)


FAILING: dict[str, Failing] = {
    "wrong digest": lambda it: it.hub.fetch(it.urls[0], sha256=WRONG),
    "wrong digests": lambda it: it.hub.fetch(it.urls, sha256=dict.fromkeys(("a.bin", "b.bin", "c.bin"), WRONG)),
    "not found": lambda it: it.hub.fetch(it.missing),
    "one of several": lambda it: it.hub.fetch([*it.urls, it.missing]),
    "all of several": lambda it: it.hub.fetch([it.missing, it.server.url("/m/gone.bin")]),
    "refused": lambda it: it.hub.fetch("http://127.0.0.1:9/model.bin"),
    "too large": lambda it: it.hub.fetch(it.urls, max_size=1),
    "a page": lambda it: it.hub.fetch(it.server.add("/org/name", body=PAGE)),
    "broken off": lambda it: it.hub.fetch(it.server.add("/m/broken.bin", body=bytes(1000), drop_after=10)),
    "no such path": lambda it: it.hub.fetch(it.place / "missing"),
    "no such name": lambda it: it.hub.fetch("org/missing"),
    "no such cache": lambda it: it.hub.adopt("hf://org/missing", cache=it.place),
    "no repository": lambda it: it.asking.fetch("hf://org/missing"),
    "no revision": lambda it: it.asking.fetch("hf://org/tiny@missing"),
    "gated": lambda it: it.asking.fetch("hf://org/gated"),
    "no scheme": lambda it: it.hub.fetch("xyz://org/name"),
    "nothing fits": lambda it: it.asking.plan("hf://org/tiny", fits=1),
    "nothing wanted": lambda it: it.asking.plan("hf://org/tiny", allow="*.nothing"),
    "a local file of another digest": lambda it: it.hub.fetch(_written(it.place), sha256=WRONG),
    "local files of another digest": lambda it: it.hub.fetch(_written(it.place).parent, sha256={"b.bin": WRONG}),
}


def _written(place: Path) -> Path:
    directory = place / "files"
    directory.mkdir(exist_ok=True)
    for name in "abc":
        (directory / f"{name}.bin").write_bytes(name.encode())
    return directory / "a.bin"


@pytest.mark.parametrize("name", FAILING)
async def test_no_failing_call_raises_what_leads_back_to_itself(name: str, given: Given) -> None:
    with pytest.raises(ServiceException) as caught:
        await FAILING[name](given)
    refuse_cycle(caught.value)


async def _fail(number: int) -> None:
    raise ValueError(number) from KeyError(number)


async def _fail_while_handling(handled: Exception) -> None:
    try:
        raise handled
    except OSError:
        await all_or_first_error(_fail(number) for number in range(3))


async def test_the_first_error_of_several_is_raised_bare_inside_a_handler_too() -> None:
    handled = OSError("handled meanwhile")
    with pytest.raises(ValueError, match="0") as caught:
        await _fail_while_handling(handled)
    refuse_cycle(caught.value)
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.__context__ is handled


async def test_a_cancellation_during_a_failure_leads_back_nowhere(hub: HubService, server: Server) -> None:
    begun = asyncio.Event()
    urls = [server.add(f"/m/{name}.bin", body=bytes(1000), stall_after=10) for name in "ab"]
    task = asyncio.ensure_future(hub.fetch(urls, progress=lambda _: begun.set()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    refuse_cycle(caught.value)


def test_a_cycle_is_found_by_whatever_way_it_leads() -> None:
    first, second = ValueError(1), ValueError(2)
    first.__cause__ = second
    assert find_cycle(first) is None
    second.__context__ = ExceptionGroup("several", [KeyError(0), first])
    assert find_cycle(first) == ["ValueError.__cause__", "ValueError.__context__", "ExceptionGroup.exceptions[1]"]
    with pytest.raises(AssertionError, match="leads back"):
        refuse_cycle(second)


async def test_the_store_raises_nothing_that_leads_back(storage: StorageService) -> None:
    with pytest.raises(ServiceException) as caught:
        await asyncio.to_thread(storage.get, WRONG)
    refuse_cycle(caught.value)
