"""Settings of the hub: ``HUB_SERVICE_…``, and the settings of ``huggingface_hub``."""

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import SettingsConfigDict

from kamiwaza_sdk._settings import Settings, token_problem
from kamiwaza_sdk.exceptions import ConfigurationException, InvalidInputException
from kamiwaza_sdk.services.download.http.hosts import check_url, is_loopback

_HUGGING_FACE: Final = "https://huggingface.co"
_OLLAMA: Final = "https://registry.ollama.ai"
_TRUE: Final = frozenset({"1", "ON", "YES", "TRUE"})


def checked_endpoint(value: str) -> str:
    """Return the address of a hub without its last slash, or raise `ValueError`."""
    try:
        url = check_url(value)
    except InvalidInputException:
        raise ValueError("is no http or https URL; write https://host, or leave it unset for the default") from None
    if url.user or url.password or url.query_string or url.fragment:
        raise ValueError("has credentials, a query or a fragment; write https://host or https://host/path")
    return value.rstrip("/")


def _usual_endpoint() -> str:
    """Return the hub that ``huggingface_hub`` would ask."""
    try:
        return checked_endpoint(os.environ.get("HF_ENDPOINT") or _HUGGING_FACE)
    except ValueError as error:
        raise ConfigurationException("HF_ENDPOINT", str(error)) from None


def _blank_is_none(value: object) -> object:
    secret = value.get_secret_value() if isinstance(value, SecretStr) else value
    return None if isinstance(secret, str) and not secret.strip() else value


def _checked_token(value: SecretStr | None) -> SecretStr | None:
    if value is None:
        return None
    token = value.get_secret_value().strip()
    if (problem := token_problem(token)) is not None:
        raise ValueError(problem)
    return SecretStr(token)


class HubConfig(Settings):
    """Settings of `HubService`, each also read from ``HUB_SERVICE_<NAME>``.

    Where neither is given, the settings of ``huggingface_hub`` are used: ``HF_ENDPOINT``, ``HF_TOKEN``,
    ``HF_HUB_OFFLINE`` or else ``TRANSFORMERS_OFFLINE``, and the token file of ``hf auth login``: ``HF_TOKEN_PATH``,
    ``HF_HOME/token`` or ``~/.cache/huggingface/token``; with ``HF_HUB_DISABLE_IMPLICIT_TOKEN`` neither token nor file
    is used. They are read when an instance is created. A token from these settings is for the endpoint from these
    settings only: an endpoint in ``HUB_SERVICE_HF_ENDPOINT`` never gets it.

    Attributes:
        hf_endpoint: The Hugging-Face-compatible hub that ``hf://`` names. Default: ``https://huggingface.co``.
        hf_token: The token for the endpoint. It is sent to the endpoint's host only, over https, or to this machine
            itself. Default: none.
        ollama_endpoint: The registry that ``ollama://name`` names. Default: ``https://registry.ollama.ai``.
        offline: Open no connection: files in the store are found, and for all others there is an `OfflineException`.

    Raises:
        ConfigurationException: A variable with this prefix is unknown, or a value cannot be used.

    Example:
        >>> HubConfig(hf_endpoint="https://hub.example.org/").hf_endpoint
        'https://hub.example.org'
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(env_prefix="HUB_SERVICE_", validate_default=True)

    hf_endpoint: Annotated[str, AfterValidator(checked_endpoint)] = Field(default_factory=_usual_endpoint)
    hf_token: Annotated[SecretStr | None, BeforeValidator(_blank_is_none), AfterValidator(_checked_token)] = None
    ollama_endpoint: Annotated[str, AfterValidator(checked_endpoint)] = _OLLAMA
    offline: bool = Field(
        default_factory=lambda: (
            (os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or "").upper() in _TRUE
        )
    )

    @field_validator("hf_token")
    @classmethod
    def _is_read_by_nobody_else(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and not _is_confidential(info.data.get("hf_endpoint", "")):
            raise ValueError("could be read on its way to an endpoint of http://; write https://")
        return value

    @model_validator(mode="after")
    def _with_the_token_of_huggingface_hub(self) -> Self:
        is_free = self.hf_token is None and "hf_token" not in self.model_fields_set
        if is_free and _is_confidential(self.hf_endpoint) and self.hf_endpoint == _usual_endpoint():
            # Frozen, but ours until it is returned.
            object.__setattr__(self, "hf_token", _token_of_huggingface_hub())
        return self

    def __getstate__(self) -> dict[Any, Any]:  # Any: as the base class has it
        """Refuse to be pickled with a token: everybody who has the pickle could read it."""
        if self.hf_token is not None:
            reason = "cannot be pickled; set HUB_SERVICE_HF_TOKEN where the other process runs"
            raise ConfigurationException("hf_token", reason)
        return super().__getstate__()

    @property
    def hf_host(self) -> str:
        """The host of the endpoint, the only one that gets the token, as `DownloadConfig.tokens` writes it."""
        url = check_url(self.hf_endpoint)
        usual = url.scheme == "https" and url.is_default_port()
        return f"{url.host_subcomponent}" if usual else f"{url.host_subcomponent}:{url.port}"


def _is_confidential(endpoint: str) -> bool:
    """Whether a token can be sent there without being read on the way. An invalid endpoint is refused elsewhere."""
    return not endpoint.startswith("http://") or is_loopback(check_url(endpoint).host)


def _token_of_huggingface_hub() -> SecretStr | None:
    """Return what ``huggingface_hub`` would send, as its ``get_token`` finds it in environment and file."""
    if os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in _TRUE:
        return None
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := os.environ.get(name):
            return _named_token(name, token)
    try:
        path = _token_file()
        return _named_token(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RuntimeError):  # RuntimeError: nobody's home
        return None


def _named_token(setting: str, token: str) -> SecretStr | None:
    """Return a token, `None` for a blank one, or raise if the text is not a token."""
    if not token.strip():
        return None
    if (problem := token_problem(token.strip())) is not None:
        raise ConfigurationException(setting, problem)
    return SecretStr(token.strip())


def _token_file() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    home = Path(os.environ.get("HF_HOME") or cache / "huggingface").expanduser()
    return Path(os.environ.get("HF_TOKEN_PATH") or home / "token").expanduser()
