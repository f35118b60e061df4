"""What lets people in is neither kept nor shown of an address: one rule for both."""

import asyncio
import json
import pickle
import time
import traceback
from collections.abc import Coroutine

import pytest

from kamiwaza_sdk import (
    CreateFile,
    CreateVersion,
    Fetched,
    HubConfig,
    HubService,
    PlanSchema,
    ServiceException,
    StorageService,
)
from kamiwaza_sdk._addresses import kept_address, redact_text, without_secrets
from kamiwaza_sdk.sources import ManifestSchema
from tests.addresses import ADDRESSES, PLAIN


@pytest.mark.parametrize(("given", "kept"), ADDRESSES.items())
def test_an_address_is_kept_and_shown_without_what_lets_people_in(given: str, kept: str) -> None:
    assert kept_address(given) == kept
    assert redact_text(given) == kept
    assert kept_address(kept) == kept
    assert CreateFile(path="m", size=1, sha256="ab" * 32, url=given).url == kept
    assert CreateVersion(status="draft", source=given).source == kept


@pytest.mark.parametrize("given", PLAIN)
def test_what_holds_no_secret_stays(given: str) -> None:
    assert kept_address(given) == given


@pytest.mark.parametrize("given", ADDRESSES)
def test_no_error_tells_a_secret_of_an_address(given: str, storage: StorageService) -> None:
    """Nor what is tied to it: what it came of, its attributes, its pickle."""
    hub = HubService(storage=storage, config=HubConfig(offline=True))
    for call in (hub.fetch, hub.plan, hub.resolve):
        for source in (given, [given, given]):
            told = asyncio.run(_told(call(source)))
            assert "SECRET" not in told


async def _told(call: Coroutine[None, None, Fetched | PlanSchema | ManifestSchema]) -> str:
    try:
        found = await call
    except ServiceException as error:
        return f"{''.join(traceback.format_exception(error))} {error!r} {vars(error)} {pickle.dumps(error)!r}"
    manifest = found.manifest if isinstance(found, PlanSchema) else found
    urls = () if isinstance(manifest, Fetched) else {file.url for file in manifest.files}
    text = found.model_dump_json()
    for url in urls:  # by which the files are fetched
        text = text.replace(json.dumps(url), "")
    return f"{found!r} {text}"


@pytest.mark.parametrize("text", ["a=" * 100_000, "%3F" * 100_000, "sig" * 100_000, "/p/" * 100_000, "%25" * 100_000])
def test_no_address_takes_long(text: str) -> None:
    start = time.process_time()
    without_secrets(text)
    kept_address(f"https://h.example/{text}")
    kept_address(f"s3://{text}")
    assert time.process_time() - start < 1
