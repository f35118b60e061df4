"""Where the store lies: ``STORAGE_SERVICE_…``."""

from pathlib import Path
from typing import ClassVar

from platformdirs import user_data_path
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from kamiwaza_sdk._settings import Settings

__all__ = ["StorageConfig"]


class StorageConfig(Settings):
    """Settings of `StorageService`, each also read from ``STORAGE_SERVICE_<NAME>``.

    Attributes:
        root: The directory of the store; created when first written to. Default: ``store`` in the user's data directory
            (``~/.local/share/kamiwaza_sdk/store`` on Linux).

    Raises:
        ConfigurationException: A variable with this prefix is unknown, or a value cannot be used.

    Example:
        >>> StorageConfig(root="/srv/models").root
        PosixPath('/srv/models')
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(env_prefix="STORAGE_SERVICE_")

    root: Path = Field(default_factory=lambda: user_data_path("kamiwaza_sdk") / "store")
