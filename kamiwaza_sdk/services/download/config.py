"""How downloads behave: ``DOWNLOAD_SERVICE_…``."""

from typing import ClassVar, Final

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from kamiwaza_sdk._settings import Settings, Size

__all__ = ["DownloadConfig"]

_MIB: Final = 1024**2


class DownloadConfig(Settings):
    """Settings of `DownloadService`, each also read from ``DOWNLOAD_SERVICE_<NAME>``. Sizes may be "10 GiB".

    Attributes:
        connect_timeout: Seconds to establish a connection, name resolution included.
        stall_timeout: Seconds without a byte before a transfer counts as stalled. Slow but steady is no stall.
        max_attempts: How often a file is asked for before its error is raised. Only what can succeed later is tried
            again: the statuses 408, 425, 429 and from 500 on, a connection that is not made or breaks, and a stall.
        retry_pause: Seconds that the pause before the second attempt may last; before each further one twice as many,
            up to 30. How much of it is waited is left to chance.
        retry_timeout: Seconds after its first attempt in which a file is tried again.
        max_size: The largest body accepted, in bytes.
        max_concurrency: How many files travel at once.
        buffer_size: How much received but not yet written and hashed data is held per file, in bytes.
        tokens: Bearer tokens by host: ``huggingface.co`` for https on its usual port, else with the port,
            ``127.0.0.1:8080``. Each is sent to that host only, also where a redirect leads there, and never elsewhere.

    Raises:
        ConfigurationException: A variable with this prefix is unknown, or a value cannot be used.

    Example:
        >>> DownloadConfig(max_size=2 * 1024**3).max_size
        2147483648
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(env_prefix="DOWNLOAD_SERVICE_")

    connect_timeout: float = Field(default=30.0, gt=0)
    stall_timeout: float = Field(default=60.0, gt=0)
    max_attempts: int = Field(default=5, gt=0)
    retry_pause: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    retry_timeout: float = Field(default=300.0, ge=0, allow_inf_nan=False)
    max_size: Size = Field(default=10 * 1024 * _MIB, gt=0)
    max_concurrency: int = Field(default=8, gt=0)
    buffer_size: Size = Field(default=16 * _MIB, ge=_MIB)
    tokens: dict[str, SecretStr] = Field(default_factory=dict)
