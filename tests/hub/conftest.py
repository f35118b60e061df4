"""What the tests of sources share: a hub on loopback, and ways to ask it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from blockbuster import BlockBuster
from pydantic import SecretStr

from kamiwaza_sdk import HubConfig, HubService, StorageService
from kamiwaza_sdk.testing import HuggingFaceServer
from tests.loops import watched

#: Make a `HubService` that asks the loopback hub with a token or without one.
Asking = Callable[..., Awaitable[HubService]]


@pytest.fixture
def blockbuster(monkeypatch: pytest.MonkeyPatch) -> Iterator[BlockBuster]:
    """Fail a test in which our code blocks the event loop."""
    with watched() as active:
        yield active
        monkeypatch.undo()  # afterwards it would put back functions that are watched, for all later tests


@pytest.fixture
def hf() -> Iterator[HuggingFaceServer]:
    """A Hugging-Face-compatible hub on loopback, with pages of two."""
    with HuggingFaceServer(page_size=2) as server:
        yield server


@pytest.fixture
def asking(hf: HuggingFaceServer, storage: StorageService) -> Asking:
    """Make a `HubService` that asks the loopback hub with a token or without one."""

    async def ask(token: str | None = None, *, offline: bool = False) -> HubService:
        secret = None if token is None else SecretStr(token)
        config = await asyncio.to_thread(HubConfig, hf_endpoint=hf.endpoint, hf_token=secret, offline=offline)
        return HubService(storage=storage, config=config)

    return ask
