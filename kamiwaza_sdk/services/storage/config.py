"""Where the store lies, and how much it may take: ``STORAGE_SERVICE_…``."""

from pathlib import Path
from typing import Annotated, ClassVar

from platformdirs import user_data_path
from pydantic import AfterValidator, BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from kamiwaza_sdk._settings import Settings
from kamiwaza_sdk._validation import Size
from kamiwaza_sdk.services.storage.remote.address import Address


def _blank_is_none(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _address(value: str | None) -> str | None:
    return None if value is None else str(Address.parse(value))


def _listed(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _addresses(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(Address.parse(value)) for value in values)


class StorageConfig(Settings):
    """Settings of `StorageService`, each also read from ``STORAGE_SERVICE_<NAME>``.

    Attributes:
        root: The directory of the store; created when first written to. Default: ``store`` in the user's data directory
            (``~/.local/share/kamiwaza_sdk/store`` on Linux).
        max_size: The most bytes that the store may take; may be "500 GB". A fetch that would exceed it is refused
            before a byte travels, as far as sizes are known beforehand. Default: no limit but the disk's.
        remote: The store that machines share, in front of which the directory is a cache: ``s3://bucket/prefix``,
            ``gs://…``, ``az://…`` (extra ``object-storage``), or ``file:///directory`` of a network file system. What
            is fetched is written there too. Default: none.
        tiers: Stores that are only read, in their order: addresses as above. What the directory lacks is looked for
            there, then in the shared store, then in the network. In the environment, with commas between them.
        lease: For how many seconds a clean-up keeps what was fetched and not registered. 0 means no lease.

    Raises:
        ConfigurationException: A variable with this prefix is unknown, or a value cannot be used.

    Example:
        >>> StorageConfig(root="/srv/models").root
        PosixPath('/srv/models')
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(env_prefix="STORAGE_SERVICE_")

    root: Path = Field(default_factory=lambda: user_data_path("kamiwaza_sdk") / "store")
    max_size: Size | None = Field(default=None, gt=0)
    remote: Annotated[str | None, BeforeValidator(_blank_is_none), AfterValidator(_address)] = None
    tiers: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_addresses)] = ()
    lease: int = Field(default=86400, ge=0)

    @field_validator("root", mode="before")
    @classmethod
    def _names_something(cls, value: object) -> object:
        if isinstance(value, str) and not value.strip():  # a path would take it for the working directory
            raise ValueError("is empty; name a directory, or leave it unset for the default")
        return value

    @field_validator("root")
    @classmethod
    def _has_a_home(cls, value: Path) -> Path:
        try:
            value.expanduser()
        except RuntimeError:
            raise ValueError("begins with the home of a user that this machine does not know; write it out") from None
        return value
