"""What a repository's README says becomes the model's card and its description."""

from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from kamiwaza_sdk import HubService, ModelService
from kamiwaza_sdk.services.hub.details import described
from kamiwaza_sdk.testing import HuggingFaceServer
from tests.hub.conftest import Asking

CARD = """---
license: mit
---
# Tiny

[![badge](https://x/y.svg)](https://x)

**Tiny** is a [small model](https://x) that
fits `everywhere`.

## Use
"""


async def test_a_pulled_model_has_its_card_and_is_found_by_its_words(
    hf: HuggingFaceServer, asking: Asking, mock_db: Session
) -> None:
    files = {"README.md": CARD.encode(), "config.json": b"{}", "sub/README.md": b"Another."}
    commit = hf.add_repository("org/tiny", files)
    models = ModelService(mock_db, hub=await asking())
    version = await models.pull_model("hf://org/tiny")
    model = models.get_model_by_name("org/tiny")
    assert (model.model_card, model.description) == (CARD, "Tiny is a small model that fits everywhere.")
    assert [found.id for found in models.search_models(text="fits everyw").items] == [model.id]
    assert (version.source_repository, version.hub) == ("org/tiny", hf.endpoint.removeprefix("http://"))
    addresses = {file.path: file.url for file in version.files}
    assert addresses["config.json"] == f"{hf.endpoint}/org/tiny/resolve/{commit}/config.json"
    assert version.source is not None
    assert version.source.startswith("hf://org/tiny@")


@pytest.mark.parametrize("body", [b"", b" \n", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n"])
async def test_what_is_no_card_is_left_out(hub: HubService, tmp_path: Path, body: bytes) -> None:
    (tmp_path / "README.md").write_bytes(body)
    (tmp_path / "config.json").write_bytes(b"{}")
    fetched = await hub.fetch(tmp_path)
    assert (fetched.model_card, fetched.description) == (None, None)


async def test_a_card_is_kept_up_to_its_limit_as_text_that_databases_hold(hub: HubService, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(b"a\0b\xff " + "\u00e9".encode() * 200_000)
    fetched = await hub.fetch(tmp_path)
    assert fetched.model_card is not None
    assert (len(fetched.model_card), fetched.model_card[:5]) == (100_000, "a\ufffdb\ufffd ")
    assert fetched.description is not None
    assert len(fetched.description) <= 500
    assert fetched.files[0].url == (tmp_path / "README.md").resolve().as_uri()


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("", None),
        ("# Only a heading\n\n![image](x.png)\n\n```\ncode\n```\n", None),
        ("---\nno: end\nText.\n", None),
        ("Text at once.\n# Heading", "Text at once."),
        ("<p>\n\n- a list\n\n| a | table |\n\n1. counted\n\nAt last.\n", "At last."),
        ("```\nnot this\n```\nBut this.", "But this."),
        ("word " * 200, "word " * 99 + "word…"),
        ("x" * 600, "x" * 499 + "…"),
    ],
)
def test_a_description_is_the_first_prose_of_a_card(card: str, expected: str | None) -> None:
    assert described(card) == expected
