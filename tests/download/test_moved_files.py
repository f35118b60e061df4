"""A file that another brought and moved on in just this moment is brought again."""

import hashlib
from pathlib import Path

import pytest

from kamiwaza_sdk import DownloadService
from kamiwaza_sdk.services.download.transfer.acquire import Acquisition
from tests.serving import Server

BODY = b"weights" * 1000


async def test_a_file_that_is_moved_on_while_it_is_looked_at_is_brought_again(
    downloads: DownloadService, server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.write_bytes(BODY)
    digest = Acquisition._digest

    def look_too_late(self: Acquisition, path: Path) -> str | None:
        target.unlink()
        return digest(self, path)

    monkeypatch.setattr(Acquisition, "_digest", look_too_late)
    url = server.add("/model.bin", body=BODY)
    result = await downloads.download(url, target, sha256=hashlib.sha256(BODY).hexdigest())
    assert (result.bytes_fetched, target.read_bytes()) == (len(BODY), BODY)
