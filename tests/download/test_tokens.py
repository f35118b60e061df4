"""Tokens: sent to their own origin, never to another, and shown nowhere."""

import copy
import logging
import pickle
import traceback
import warnings
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from kamiwaza_sdk import (
    ConfigurationException,
    DownloadConfig,
    DownloadException,
    DownloadService,
)
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.download.http.hosts import check_url, is_loopback, value_for_origin
from kamiwaza_sdk.sources import Validators
from kamiwaza_sdk.testing import FaultyServer, Headers, Status, Truncate
from kamiwaza_sdk.types import DownloadAttempt
from tests.download.helpers import resolve_to
from tests.download.tls import client_context
from tests.serving import Server

TOKEN = "hf_SECRET"
BEARER = f"Bearer {TOKEN}"


@pytest.fixture
def other(faulty_server: FaultyServer) -> FaultyServer:
    return faulty_server.another_origin()


def authority(url: str) -> str:
    return url.partition("//")[2].partition("/")[0]


def with_token(config: DownloadConfig, *urls: str) -> DownloadConfig:
    return config.model_copy(update={"tokens": {authority(url): SecretStr(TOKEN) for url in urls}})


def sent(server: FaultyServer) -> list[str | None]:
    return [request.headers.get("authorization") for request in server.requests]


async def test_token_goes_to_its_origin_and_not_along_to_another(
    faulty_server: FaultyServer, other: FaultyServer, config: DownloadConfig
) -> None:
    url = faulty_server.add_redirect("/r", other.add_redirect("/back", faulty_server.add("/m", body=b"x")), hops=2)
    async with DownloadService(with_token(config, url)) as downloads:
        assert await downloads.read(url, max_size=1) == b"x"
    assert (sent(faulty_server), sent(other)) == ([BEARER, BEARER, BEARER], [None])


async def test_token_of_the_origin_redirected_to_is_added(
    faulty_server: FaultyServer, other: FaultyServer, config: DownloadConfig
) -> None:
    final = other.add("/m", body=b"x")
    url = faulty_server.add_redirect("/r", final)
    async with DownloadService(with_token(config, final)) as downloads:
        assert await downloads.read(url.replace("//", "//me:secret@"), max_size=1) == b"x"
    assert (sent(faulty_server), sent(other)) == (["Basic bWU6c2VjcmV0"], [BEARER])


async def test_token_goes_along_with_every_attempt(faulty_server: FaultyServer, config: DownloadConfig) -> None:
    url = faulty_server.add("/m", body=b"x", faults=[Status(503), Status(503)])
    async with DownloadService(
        with_token(config.model_copy(update={"max_attempts": 3, "retry_pause": 0}), url)
    ) as downloads:
        assert await downloads.read(url, max_size=1) == b"x"
    assert sent(faulty_server) == [BEARER] * 3


async def test_user_information_in_the_url_goes_before_the_token(
    faulty_server: FaultyServer, config: DownloadConfig
) -> None:
    url = faulty_server.add_redirect("/r", faulty_server.add("/m", body=b"x"))
    async with DownloadService(with_token(config, url)) as downloads:
        assert await downloads.read(url.replace("//", "//me:secret@"), max_size=1) == b"x"
    assert sent(faulty_server) == ["Basic bWU6c2VjcmV0"] * 2


async def test_token_is_not_sent_in_the_clear_through_a_network(
    faulty_server: FaultyServer, config: DownloadConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, "127.0.0.1")
    url = faulty_server.add("/m", body=b"x").replace("127.0.0.1", "far.example")
    async with DownloadService(with_token(config, url)) as downloads:
        assert await downloads.read(url, max_size=1) == b"x"
    assert sent(faulty_server) == [None]


@pytest.mark.parametrize(
    ("host", "url", "own"),
    [
        ("example.org", "https://example.org/x", True),
        ("Example.ORG", "https://example.org:443/x", True),
        ("example.org:443", "https://example.org/x", True),
        ("example.org", "https://example.org:8443/x", False),
        ("example.org:8443", "https://example.org:8443/x", True),
        ("example.org:8443", "https://example.org/x", False),
        ("example.org", "https://cdn.example.org/x", False),
        ("example.org", "https://evilexample.org/x", False),
        ("example.org", "https://example.org.evil/x", False),
        ("example.org", "https://example.org@evil/x", False),
    ],
)
def test_which_origin_a_token_belongs_to(*, host: str, url: str, own: bool) -> None:
    tokens = DownloadConfig(tokens={host: SecretStr(TOKEN)}).tokens
    assert (value_for_origin(check_url(url), tokens) is not None) is own


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.9.9.9", True), ("::1", True), ("10.0.0.1", False), ("localhost.example", False)],
)
def test_what_stays_on_this_machine(*, host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.fixture
def secure(tls_server: Server) -> str:
    return tls_server.add("/m", body=b"x")


async def ask(config: DownloadConfig, url: str, **session: object) -> str:
    connector = aiohttp.TCPConnector(ssl=client_context())
    options: dict[str, object] = {"connector": connector, **session}
    async with aiohttp.ClientSession(**options) as opened:  # type: ignore[arg-type]  # as each test gives them
        return repr(await DownloadService(with_token(config, url), session=opened).read(url, max_size=1))


async def test_token_goes_before_a_header_of_the_session(
    secure: str, tls_server: Server, config: DownloadConfig
) -> None:
    await ask(config, secure, headers={"Authorization": "Bearer other"})
    assert tls_server.requests[0].headers["authorization"] == BEARER


async def test_sessions_own_middlewares_run_after_the_token_is_set(
    secure: str, tls_server: Server, config: DownloadConfig
) -> None:
    async def sign(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers["X-Saw"] = request.headers.get("Authorization", "")
        return await handler(request)

    await ask(config, secure, middlewares=(sign,))
    assert tls_server.requests[0].headers["x-saw"] == BEARER


async def test_sessions_own_user_goes_before_the_token(secure: str, tls_server: Server, config: DownloadConfig) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what newer versions of aiohttp do without
        await ask(config, secure, auth=aiohttp.BasicAuth("me", "secret"))
    assert tls_server.requests[0].headers["authorization"] == "Basic bWU6c2VjcmV0"


def test_tokens_come_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOWNLOAD_SERVICE_TOKENS", f'{{"HuggingFace.co": "{TOKEN}"}}')
    config = DownloadConfig()
    assert config.tokens["huggingface.co"].get_secret_value() == TOKEN
    assert TOKEN not in f"{config!r} {config} {config.model_dump()!r} {config.model_dump_json()} {vars(config)!r}"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("SECRET", "is no JSON object"),
        ('["SECRET"]', "dictionary"),
        ('{"example.org": "SECRET', "is no JSON object"),
        ('{"example.org": ["SECRET"]}', "string"),
        ('{"example.org": "SECRET\\r\\nX-Evil: 1"}', "no header can carry"),
        ('{"example.org": "SECRET\\u0000"}', "no header can carry"),
        ('{"example.org": "SECRET\\u20ac"}', "no header can carry"),
        ('{"example.org": "SECRET SECRET"}', "no header can carry"),
        ('{"example.org": ""}', "no header can carry"),
        ('{"https://SECRET@example.org/": "x"}', "no host"),
        ('{"*.example.org": "SECRET"}', "no host"),
    ],
)
def test_tokens_that_cannot_be_sent_are_refused_without_repeating_them(
    monkeypatch: pytest.MonkeyPatch, value: str, complaint: str
) -> None:
    monkeypatch.setenv("DOWNLOAD_SERVICE_TOKENS", value)
    with pytest.raises(ConfigurationException, match=complaint) as caught:
        DownloadConfig()
    assert caught.value.setting == "DOWNLOAD_SERVICE_TOKENS"
    assert "SECRET" not in "".join(traceback.format_exception(caught.value, limit=0)) + repr(vars(caught.value))
    assert b"SECRET" not in pickle.dumps(caught.value)
    assert caught.value.__context__ is None


def test_settings_with_tokens_are_not_pickled_and_others_are() -> None:
    config = DownloadConfig(tokens={"example.org": SecretStr(TOKEN)})
    with pytest.raises(ConfigurationException, match="DOWNLOAD_SERVICE_TOKENS"):
        pickle.dumps(config)
    assert copy.deepcopy(config) == config == config.model_copy()
    assert pickle.loads(pickle.dumps(DownloadConfig(max_size=3))).max_size == 3


async def test_validators_are_checked_again_before_they_become_headers(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=b"x")
    forged = Validators.model_construct(etag='"1"\r\nX-Evil: 1', last_modified=None)
    with pytest.raises(InvalidInputException):
        await downloads.download(url, target, validators=forged)
    assert faulty_server.requests == []


async def test_no_secret_is_in_a_log_an_error_or_a_pickle(
    faulty_server: FaultyServer,
    other: FaultyServer,
    config: DownloadConfig,
    target: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    signed = other.add("/signed", body=b"x") + "?X-Signature=SECRET"
    urls = [
        faulty_server.add("/denied", always=Status(401)),
        faulty_server.add("/busy", faults=[Status(503)] * 9),
        faulty_server.add("/short", body=b"x" * 100, always=Truncate(at=50)),
        faulty_server.add("/compressed", body=b"x", headers={"Content-Encoding": "gzip"}),
        faulty_server.add_redirect("/digest", signed),
        faulty_server.add("/nohost", always=(Status(302), Headers({"Location": "http://me:SECRET@/?SECRET"}))),
        faulty_server.add_redirect("/elsewhere", signed.replace("127.0.0.1", "nowhere.invalid")),
        faulty_server.add_redirect("/loop", faulty_server.url("/loop") + "?SECRET"),
    ]
    told = list[DownloadAttempt]()
    settings = with_token(config.model_copy(update={"max_attempts": 2, "retry_pause": 0}), urls[0], signed)
    caplog.set_level(logging.DEBUG)
    async with DownloadService(settings, on_attempt=told.append) as downloads:
        for url in urls:
            for asked in (f"{url}?token=SECRET", f"{url}?token=SECRET#SECRET".replace("//", "//me:SECRET@")):
                with pytest.raises(DownloadException) as caught:
                    await downloads.download(asked, target, sha256="0" * 64)
                error = caught.value
                shown = "".join(traceback.format_exception(error, limit=0))
                assert "SECRET" not in shown + repr(error) + repr(vars(error)) + repr(error.__cause__)
                assert b"SECRET" not in pickle.dumps(error)
        result = await downloads.download(f"{signed}&token=SECRET", target)
        assert "SECRET" not in repr(result) + repr(downloads) + repr(vars(downloads))
        assert b"SECRET" not in pickle.dumps(result)
    assert BEARER in sent(faulty_server)
    assert BEARER in sent(other)
    assert "SECRET" not in "".join(attempt.model_dump_json() + repr(attempt) for attempt in told)
    assert caplog.records
    assert "SECRET" not in "".join(f"{record.getMessage()} {record.args!r}" for record in caplog.records)


async def test_token_is_in_nothing_that_an_error_leads_to(faulty_server: FaultyServer, config: DownloadConfig) -> None:
    url = faulty_server.add("/m", body=b"x", faults=[Headers({"Transfer-Encoding": "chunked"})] * 3)
    async with DownloadService(with_token(config, url)) as downloads:
        with pytest.raises(DownloadException, match="no valid HTTP") as caught:
            await downloads.read(f"{url}?signature=SECRET", max_size=1)
    assert sent(faulty_server)[0] == BEARER
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
