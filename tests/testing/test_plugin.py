"""The pattern's own test, word for word but for its mock chain; and what the fixtures promise besides."""

import asyncio
import subprocess
import sys
from pathlib import Path
from unittest.mock import AsyncMock, Mock
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    CreateModel,
    DownloadService,
    Fetched,
    FetchedFile,
    HubService,
    ModelNotFoundException,
    ModelSchema,
    ModelService,
    ServiceConfig,
)


@pytest.fixture
def service(mock_db: Session) -> ModelService:
    return ModelService(db=mock_db)


def test_get_model_success(service: ModelService, mock_model: ModelSchema) -> None:
    result = service.get_model(mock_model.id)
    assert isinstance(result, ModelSchema)


def test_get_model_missing(service: ModelService) -> None:
    with pytest.raises(ModelNotFoundException):
        service.get_model(uuid4())


@pytest.mark.parametrize("_time", [1, 2])
def test_each_test_has_a_database_of_its_own(service: ModelService, mock_db: Session, _time: int) -> None:
    service.create_model(CreateModel(name="only-here"))
    mock_db.commit()
    assert [model.name for model in service.list_models()] == ["only-here"]


async def test_the_session_serves_another_thread(service: ModelService, mock_model: ModelSchema) -> None:
    assert await asyncio.to_thread(service.get_model, mock_model.id) == mock_model


def test_a_savepoint_ends_with_the_rollback_around_it(service: ModelService, mock_db: Session) -> None:
    with mock_db.begin_nested():
        service.create_model(CreateModel(name="tiny"))
    mock_db.rollback()
    assert service.list_models() == []


def test_foreign_keys_hold_as_in_production(mock_db: Session) -> None:
    assert mock_db.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_the_plugin_is_found_by_being_installed_and_imports_nothing_of_ours(tmp_path: Path) -> None:
    (tmp_path / "test_host.py").write_text(
        "import sys\n"
        "def test_nothing_is_loaded():\n"
        "    assert 'sqlalchemy' not in sys.modules and 'kamiwaza_sdk.services' not in sys.modules\n"
        "def test_fixture(mock_model):\n"
        "    assert mock_model.name == 'mock-model'\n"
    )
    arguments = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp=temp", "test_host.py"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


async def test_a_host_hands_in_a_fake_hub_and_needs_no_network(mock_db: Session) -> None:
    file = FetchedFile(path="model.onnx", size=3, sha256="ab" * 32)
    fetched = Fetched(source="fake", name="tiny", files=(file,), bytes_fetched=3, bytes_reused=0)
    hub = Mock(spec=HubService, fetch=AsyncMock(return_value=fetched))
    version = await ModelService(mock_db, hub=hub).pull_model("https://example.org/m", sha256="ab" * 32)
    assert version.digest == fetched.digest
    hub.fetch.assert_awaited_once_with(
        "https://example.org/m", sha256="ab" * 32, allow=None, ignore=None, max_size=10 * 1024**3, progress=False
    )


async def test_a_host_hands_in_fake_downloads_and_needs_no_network(mock_db: Session) -> None:
    downloads = Mock(spec=DownloadService, read=AsyncMock(return_value=b"weights"))
    models = ModelService(mock_db, downloads=downloads, config=ServiceConfig(max_in_memory_size=7))
    assert await models.download_model("https://example.org/m") == b"weights"
    downloads.read.assert_awaited_once_with("https://example.org/m", max_size=7)
