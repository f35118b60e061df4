"""Configuration: arguments, then the environment, then ``.env``; and errors that name the variable, never its value."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from kamiwaza_sdk import (
    ConfigurationException,
    DownloadConfig,
    DownloadService,
    HubConfig,
    HubService,
    InvalidInputException,
    ServiceConfig,
    StorageConfig,
    StorageService,
)

GIB = 1024**3


def test_the_defaults_are_the_patterns() -> None:
    config = ServiceConfig()
    assert (config.database_pool_size, config.max_model_size) == (20, 10 * GIB)
    assert config.max_in_memory_size == GIB // 4


@pytest.mark.parametrize(("text", "size"), [("10 GiB", 10 * GIB), ("1.5kb", 1500), ("7", 7)])
def test_sizes_may_be_written_with_a_unit(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    monkeypatch.setenv("MODEL_SERVICE_MAX_MODEL_SIZE", text)
    assert ServiceConfig().max_model_size == size
    assert DownloadConfig(max_size=text).max_size == size  # type: ignore[arg-type]  # accepted, as from a file


def test_arguments_beat_the_environment_which_beats_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("MODEL_SERVICE_MAX_MODEL_SIZE=1\nMODEL_SERVICE_DATABASE_POOL_SIZE=1\nHOST_SETTING=x\n")
    monkeypatch.setenv("MODEL_SERVICE_MAX_MODEL_SIZE", "2")
    assert (ServiceConfig().database_pool_size, ServiceConfig().max_model_size) == (1, 2)
    assert ServiceConfig(max_model_size=3).max_model_size == 3


def test_each_service_reads_its_own_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOWNLOAD_SERVICE_STALL_TIMEOUT", "7")
    monkeypatch.setenv("STORAGE_SERVICE_ROOT", "/srv/models")
    assert DownloadConfig().stall_timeout == 7
    assert StorageConfig().root == Path("/srv/models")


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("MODEL_SERVICE_MAX_MODEL_SIZE", "3 apples", "is no size; write a number of bytes, or one with a unit"),
        ("MODEL_SERVICE_MAX_MODEL_SIZE", "-1", "greater than 0|is no size"),
        ("MODEL_SERVICE_DATABASE_POOL_SIZE", "many", "valid integer"),
        ("MODEL_SERVICE_DATABASE_POOL_SIZE", "0", "greater than 0"),
        ("MODEL_SERVICE_DATABASE_POOLSIZE", "3", "did you mean MODEL_SERVICE_DATABASE_POOL_SIZE"),
        ("MODEL_SERVICE_MAX_MODEL_SIZE", "1.5", "bytes have no fractions; write a whole number"),
        ("MODEL_SERVICE_DATABASE_URL", "", "is no database URL"),
        ("MODEL_SERVICE_XYZZY", "3", "known are MODEL_SERVICE_DATABASE_POOL_SIZE"),
    ],
)
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_setting_that_is_unknown_or_bad_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, complaint: str, place: str
) -> None:
    if place == ".env":
        Path(".env").write_text(f"{variable}={value}\n")
    else:
        monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationException, match=complaint) as refused:
        ServiceConfig()
    assert refused.value.setting == variable
    assert str(refused.value).startswith(f"{variable}: ")


def test_an_argument_that_is_unknown_or_bad_is_named_as_it_was_given() -> None:
    with pytest.raises(
        ConfigurationException, match="^max_size: is no known setting; did you mean max_model_size"
    ) as one:
        ServiceConfig(max_size=3)  # type: ignore[call-arg]  # the mistake under test
    with pytest.raises(ConfigurationException, match="^max_model_size: Input should be greater than 0") as other:
        ServiceConfig(max_model_size=0)
    assert (one.value.setting, other.value.setting) == ("max_size", "max_model_size")


def test_a_secret_appears_in_no_repr_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ServiceConfig(database_url=SecretStr("postgresql://me:hunter2@host/db"))
    assert "hunter2" not in f"{config!r} {config} {config.model_dump()!r} {config.model_dump_json()}"
    monkeypatch.setenv("MODEL_SERVICE_DATABASE_URL", "hunter2:not/a url")
    with pytest.raises(ConfigurationException) as refused:
        ServiceConfig()
    assert refused.value.__cause__ is None
    assert "hunter2" not in f"{refused.value!r} {refused.value.__dict__}"


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(Exception, match="frozen"):
        setattr(ServiceConfig(), "max_model_size", 3)  # noqa: B010 - a type checker would refuse it too


@pytest.mark.parametrize(
    ("value", "complaint"),
    [("", "is empty; name a directory"), (" ", "is empty; name a directory"), ("~nosuchuser/store", "home of a user")],
)
def test_a_store_that_lies_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch, value: str, complaint: str) -> None:
    monkeypatch.setenv("STORAGE_SERVICE_ROOT", value)
    with pytest.raises(ConfigurationException, match=f"^STORAGE_SERVICE_ROOT: .*{complaint}"):
        StorageConfig()


@pytest.mark.parametrize("prefix", ["MODEL_SERVICE", "DOWNLOAD_SERVICE", "STORAGE_SERVICE", "MODEL_SERVICE_V2"])
def test_what_kubernetes_tells_of_a_service_named_like_ours_is_no_setting(
    monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    port = f"{prefix}_PORT_80_TCP"
    for name in (f"{prefix}_PORT", f"{prefix}_SERVICE_HOST", f"{prefix}_SERVICE_PORT", f"{prefix}_SERVICE_PORT_HTTP"):
        monkeypatch.setenv(name, "tcp://10.0.0.1:80")
    for name in (port, f"{port}_ADDR", f"{port}_PORT", f"{port}_PROTO"):
        monkeypatch.setenv(name, "10.0.0.1")
    assert (ServiceConfig(), DownloadConfig(), StorageConfig()) is not None


def test_what_only_resembles_such_a_name_is_still_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_SERVICE_PORTS", "3")
    with pytest.raises(ConfigurationException, match="^MODEL_SERVICE_PORTS: is no known setting"):
        ServiceConfig()


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_dotenv_that_is_not_in_utf_8_is_named(encoding: str) -> None:
    Path(".env").write_text("HOST_SETTING=caf\u00e9\n", encoding=encoding)
    with pytest.raises(ConfigurationException, match=r"^\.env: is not in UTF-8; save it in that encoding") as refused:
        ServiceConfig()
    assert refused.value.setting == ".env"


def test_a_dotenv_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:  # a mode does not bind root
        raise PermissionError(13, "Permission denied")

    Path(".env").touch()
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ConfigurationException, match=r"^\.env: cannot be read: Permission denied; make it readable"):
        ServiceConfig()


def test_a_dotenv_that_links_to_itself_is_named() -> None:
    Path(".env").symlink_to(".env")
    with pytest.raises(ConfigurationException, match=r"^\.env: cannot be read: Too many levels of symbolic links"):
        ServiceConfig()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_pipe_or_directory_in_the_place_of_dotenv_is_no_file_of_settings(make: Callable[[str], None]) -> None:
    make(".env")
    assert ServiceConfig().database_pool_size == 20


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    Path(".env").write_text("MODEL_SERVICE_DATABASE_POOL_SIZE=3\n", encoding="utf-8-sig")
    assert ServiceConfig().database_pool_size == 3


@pytest.mark.parametrize(
    ("service", "given", "problem"),
    [
        (StorageService, {"config": "store"}, "config must be a StorageConfig, not 'store'; write StorageConfig"),
        (DownloadService, {"config": HubConfig()}, "config must be a DownloadConfig, not HubConfig; write Download"),
        (HubService, {"config": DownloadConfig()}, "config must be a HubConfig, not DownloadConfig; write HubConfig"),
        (HubService, {"storage": StorageConfig()}, "storage must be a StorageService, not StorageConfig; write Sto"),
    ],
)
def test_what_a_service_is_made_with_is_looked_at_when_it_is_made(
    service: Callable[..., object], given: dict[str, object], problem: str
) -> None:
    with pytest.raises(InvalidInputException, match=problem):
        service(**given)


async def test_what_a_hub_downloads_through_is_looked_at_with_the_first_call(tmp_path: Path) -> None:
    hub = HubService(storage=StorageService(StorageConfig(root=tmp_path)), downloads=DownloadConfig())  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(InvalidInputException, match="downloads must be a DownloadService, not DownloadConfig"):
        await hub.fetch("https://example.org/m")
