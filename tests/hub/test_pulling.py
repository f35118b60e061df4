"""Pulling from a hub: what it says of a repository is what the registry has."""

import pytest
from sqlalchemy.orm import Session

from kamiwaza_sdk import ModelService
from kamiwaza_sdk.testing import HuggingFaceServer
from tests.hub.conftest import Asking


async def test_a_pulled_model_is_registered_with_what_the_hub_says(
    hf: HuggingFaceServer, asking: Asking, mock_db: Session
) -> None:
    files = {"config.json": b"{}", "model.safetensors": b"weights"}
    commit = hf.add_repository("org/tiny", files, license="apache-2.0", task="text-generation")
    models = ModelService(mock_db, hub=await asking())
    version = await models.pull_model("hf://org/tiny", allow=["*.safetensors"])
    assert (version.source_revision, [file.path for file in version.files]) == (commit, ["model.safetensors"])
    model = models.get_model_by_name("org/tiny")
    assert (model.license, model.task, model.author) == ("apache-2.0", "text-generation", "org")
    assert (model.hub, model.source_repository) == (hf.endpoint.removeprefix("http://"), "org/tiny")


@pytest.mark.parametrize("license_", ["x" * 300, "", "a\0b"])
async def test_what_a_card_says_and_the_registry_cannot_hold_is_left_out(
    hf: HuggingFaceServer, asking: Asking, mock_db: Session, license_: str
) -> None:
    hf.add_repository("org/tiny", {"config.json": b"{}"}, license=license_, task=license_, tags=[license_, "fine"])
    hub = await asking()
    assert (await hub.resolve("hf://org/tiny")).tags[0] == "fine"
    models = ModelService(mock_db, hub=hub)
    await models.pull_model("hf://org/tiny")
    model = models.get_model_by_name("org/tiny")
    assert (model.license, model.task) == (None, None)
