"""A file that another brought and moved on in just this moment is brought again."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from kamiwaza_sdk import DownloadService
from tests.serving import Server

BODY = b"weights" * 1000


async def test_a_file_that_is_moved_on_while_it_is_looked_at_is_brought_again(
    downloads: DownloadService, server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.write_bytes(BODY)
    opened, gone = Path.open, list[Path]()

    def open_too_late(self: Path, *arguments: Any, **keywords: Any) -> Any:
        if self == target and not gone:
            gone.append(self)
            target.unlink()
        return opened(self, *arguments, **keywords)

    monkeypatch.setattr(Path, "open", open_too_late)
    url = server.add("/model.bin", body=BODY)
    result = await downloads.download(url, target, sha256=hashlib.sha256(BODY).hexdigest())
    assert (gone, result.bytes_fetched, target.read_bytes()) == ([target], len(BODY), BODY)
