"""How the registry behaves: ``MODEL_SERVICE_…``."""

from typing import ClassVar, Final

from platformdirs import user_data_path
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from kamiwaza_sdk._settings import Settings
from kamiwaza_sdk._validation import Size
from kamiwaza_sdk.exceptions import ConfigurationException

_MIB: Final = 1024**2


def _default_database_url() -> SecretStr:
    return SecretStr(f"sqlite:///{user_data_path('kamiwaza_sdk') / 'registry.db'}")


def parse_database_url(url: str | URL) -> URL:
    """Return a database URL taken apart, or raise `ConfigurationException`, which does not repeat it."""
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        reason = "is no database URL; write it as postgresql://user:password@host/database or sqlite:////path"
        raise ConfigurationException("url", reason) from None  # the original repeats the URL, password included


class ServiceConfig(Settings):
    """Settings of the registry, each also read from ``MODEL_SERVICE_<NAME>``. Sizes may be "10 GiB".

    Attributes:
        database_url: SQLAlchemy's URL of the database that `create_engine` connects to; secret, as it may hold a
            password. Default: an SQLite file in the user's data directory.
        database_pool_size: Connections that an engine keeps open.
        database_prepared_statements: Whether an engine's driver may keep statements prepared on the server's side.
            PgBouncer in transaction mode needs `False`, unless it follows them itself (1.21 and later, where
            ``max_prepared_statements`` is above 0); without them each statement is planned anew.
        max_model_size: The largest version that `ModelService.register` and `ModelService.pull_model` accept, all files
            together, in bytes.
        max_in_memory_size: The largest body that `ModelService.download_model` returns, in bytes.

    Raises:
        ConfigurationException: A variable with this prefix is unknown, or a value cannot be used.

    Example:
        >>> ServiceConfig(max_model_size=80 * 1024**3).max_model_size
        85899345920
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(env_prefix="MODEL_SERVICE_")

    database_url: SecretStr = Field(default_factory=_default_database_url)
    database_pool_size: int = Field(default=20, gt=0)
    database_prepared_statements: bool = True
    max_model_size: Size = Field(default=10 * 1024 * _MIB, gt=0)
    max_in_memory_size: Size = Field(default=256 * _MIB, gt=0)

    @field_validator("database_url")
    @classmethod
    def _is_a_database_url(cls, value: SecretStr) -> SecretStr:
        parse_database_url(value.get_secret_value())
        return value
