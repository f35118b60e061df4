"""How downloads behave: ``DOWNLOAD_SERVICE_…``."""

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode, SettingsConfigDict

from kamiwaza_sdk._settings import Settings, token_problem
from kamiwaza_sdk._validation import Size
from kamiwaza_sdk.exceptions import ConfigurationException
from kamiwaza_sdk.services.download.http.hosts import host_named

_MIB: Final = 1024**2


def _listed(value: object) -> object:
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


def _hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(host_named(host, wildcard=True) for host in hosts)


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value or "{}")
    except ValueError:
        raise ValueError('is no JSON object; write {"example.org": "token"}') from None


def _tokens(tokens: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for token in tokens.values():
        if (problem := token_problem(token.get_secret_value())) is not None:
            raise ValueError(f"holds for one host what {problem}")
    return {host_named(host): token for host, token in tokens.items()}


def _file(value: object) -> object:
    if isinstance(value, str) and not value.strip():  # a path would take it for the working directory
        raise ValueError("is empty; name a file, or leave it unset")
    return value


class DownloadConfig(Settings):
    """Settings of `DownloadService`, each also read from ``DOWNLOAD_SERVICE_<NAME>``. Sizes may be "10 GiB".

    Attributes:
        connect_timeout: Seconds to establish a connection, name resolution included.
        stall_timeout: Seconds without a byte before a transfer counts as stalled. Slow but steady is no stall; but an
            answer's headers are to be here whole in that time after the connection is.
        max_attempts: How often a file is asked for before its error is raised. Only what can succeed later is tried
            again: the statuses 408, 425, 429 and from 500 on, a connection that is not made or breaks, and a stall.
            What has another digest than expected is asked for once more, whatever stands here.
        retry_pause: Seconds that the pause before the second attempt may last; before each further one twice as many,
            up to 30. How much of it is waited is left to chance.
        retry_timeout: Seconds after its first attempt in which a file is tried again.
        max_size: The largest body accepted, in bytes.
        max_concurrency: How many requests are under way at once, and so how many files.
        max_connections: How many connections bring one large file, where one is too slow: those beyond the first count
            in `max_concurrency`, and end where another file waits. Each may be 8 MiB ahead of what a download that is
            cancelled or killed goes on with. 1: never more than one.
        buffer_size: How much received but not yet written and hashed data is held per file, in bytes.
        allowed_hosts: The only hosts that are asked, for what is downloaded and wherever that redirects to:
            ``example.org``, ``example.org:8443``, or ``*.example.org`` for all below it. Without a port, each of its
            ports. Empty: all hosts. In the environment with commas between them.
        block_private_networks: Connect to addresses of the public internet only, whatever a name resolves to. Not
            together with a session of the caller's, or with `trust_env`: who connects then is somebody else.
        tokens: For a host (``example.org``) or a host and port, what is sent to it as ``Authorization: Bearer``. It is
            sent over https to exactly that origin, first or redirected to, and to no other; to this machine itself
            over http, too, where neither a proxy nor a session of the caller's can be between. User information in a
            URL goes before. In the environment a JSON object.
        ca_file: A file of certificates in PEM form that are trusted besides those that OpenSSL trusts. Nothing
            switches verification off. A session handed in trusts what it was made with.
        tls_strict: Hold certificates to the letter of RFC 5280, as Python does from 3.13 on. False: no longer. That is
            for a proxy that opens TLS and signs with a CA of its own which leaves extensions out, such as the Authority
            Key Identifier. Chain, name and dates are verified all the same. A session handed in has its own way.
        trust_env: Use the proxies that ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY`` name, in capitals or not; user
            and password stand in their addresses. ``~/.netrc`` is never read. A session handed in has its own way.

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
    max_connections: int = Field(default=8, gt=0)
    buffer_size: Size = Field(default=4 * _MIB, ge=_MIB)
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_hosts)] = ()
    block_private_networks: bool = False
    tokens: Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(_parsed), AfterValidator(_tokens)] = Field(
        default_factory=dict[str, SecretStr]
    )
    ca_file: Annotated[Path | None, BeforeValidator(_file)] = None
    tls_strict: bool = True
    trust_env: bool = False

    def __getstate__(self) -> dict[Any, Any]:  # Any: as the base class has it
        """Refuse to be pickled with tokens: a pickle holds them for everybody to read."""
        if self.tokens:
            raise ConfigurationException(
                "tokens", "cannot be pickled; set DOWNLOAD_SERVICE_TOKENS where the other process runs"
            )
        return super().__getstate__()
