"""Generated repositories: inspections and plans of each are right, and agree."""

import asyncio
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from kamiwaza_sdk import HubService, StorageConfig, StorageService, inspect_directory
from kamiwaza_sdk.testing import HuggingFaceServer
from tests.formats.layouts import LAYOUTS
from tests.formats.repositories import REPOSITORIES, Row, write_repository


def test_there_are_sixty_shapes() -> None:
    assert len(LAYOUTS) + len(REPOSITORIES) >= 60


@pytest.mark.parametrize("row", REPOSITORIES, ids=lambda row: row.name)
async def test_inspections_and_plans_of_repositories_agree(row: Row, tmp_path: Path) -> None:
    root = write_repository(tmp_path / "m", row)
    found = inspect_directory(root)
    layout = found.layout
    assert (found.variant, layout.default) == (row.default, row.default)
    expected = sorted(filter(None, [row.default or "", *row.others.split("|")]))
    assert sorted(one.name for one in layout.variants) == expected
    kinds = {one.kind for one in layout.companions} - {"config", "tokenizer"}
    assert sorted(kinds) == sorted(filter(None, row.companions.split("|")))
    assert (found.stored_elements, found.parameters) == (row.stored, row.parameters)
    assert (found.parameters is None) == (found.parameters_problem is not None) or not layout.variants
    chosen = None if row.default is None else layout.variant(row.default)
    assert (None if chosen is None else chosen.format) == row.format
    if chosen is not None:
        assert found.size == chosen.size == sum((root / path).stat().st_size for path in chosen.files)
    assert (found.task, found.license) == (row.task, row.licence)
    plan = await HubService(storage=StorageService(StorageConfig(root=tmp_path / "store"))).plan(root)
    assert plan.details.model_copy(update={"formats": found.formats}) == found


#: What `huggingface_hub` finds: it looks for these two names alone.
FOUND = [row for row in REPOSITORIES if {"model.safetensors", "model.safetensors.index.json"} & row.files.keys()]
WHOLE = [row for row in FOUND if row.stored is not None and "index" not in row.name]


@pytest.mark.parametrize("row", WHOLE, ids=lambda row: row.name)
async def test_stored_elements_are_those_that_huggingface_hub_counts(row: Row, tmp_path: Path) -> None:
    """But for layers that sentence-transformers adds, which it does not know."""
    root = write_repository(tmp_path / "m", row)
    files = {path: (root / path).read_bytes() for path in row.files if "2_Dense" not in path}
    with HuggingFaceServer() as server:
        server.add_repository("org/m", files)
        api = HfApi(endpoint=server.endpoint, token=False)
        theirs = await asyncio.to_thread(api.get_safetensors_metadata, "org/m")
    ours = inspect_directory(write_repository(tmp_path / "n", row._replace(files=files)))
    assert ours.stored_elements == sum(theirs.parameter_count.values())
