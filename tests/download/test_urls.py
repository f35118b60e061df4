"""Which URLs are accepted, and that no secret of one is ever shown."""

import logging
import pickle
import string
import traceback
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kamiwaza_sdk import DownloadException, DownloadService, InvalidInputException
from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk.services.download.http.hosts import check_url, redact, resolve
from tests.serving import Server


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.org/x",
        "FILE:///etc/passwd",
        "data:text/plain,x",
        "example.org/x",
        "//example.org/x",
        "/x",
        "",
        "http://",
        "http:///x",
        "http:x",
        "https://user:secret@/x",
        "http://example.org:abc/",
        "http://example.org:99999/",
        "http://example.org:-1/",
        "http://example.org:0/",
        "http://[::1/",
        "http://[secret]@/",
        "http://a..b/",
        f"http://{'a' * 64}.org/",
        " http://example.org/",
        "http://example.org/\n",
        "http://exa mple.org/",
        "http://example.org/a b",
        "http://example.org/a\tb",
        "http://example.org/a\r\nX: y",
        "http://example.org/\0",
        "http://example.org/\x7f",
        "http://example.org/\u3000",
        "http://example.org/\udcff",
        "http://good\\@evil/",
        "http://127.1/",
        "http://2130706433/",
        "http://1.2.3.4.5/",
        "http://127.0.0.01/",
        "http://me%3A:secret@example.org/",
        "http://me:secret%E4%BD%A0@example.org/",
        "http://me:secret%0D%0A@example.org/",
    ],
)
async def test_url_that_cannot_be_asked_for(url: str, downloads: DownloadService, target: Path) -> None:
    with pytest.raises(InvalidInputException, match="^url") as caught:
        await downloads.download(url, target)
    with pytest.raises(InvalidInputException, match="^url"):
        await downloads.read(url, max_size=1)
    assert caught.value.field == "url"
    assert isinstance(caught.value, InvalidInputException)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://example.org", "http://example.org/"),
        ("HTTPS://EXAMPLE.org/A", "https://example.org/A"),
        ("https://example.org:8443/a?b#c", "https://example.org:8443/a?b"),
        ("http://[::1]:80/x", "http://[::1]/x"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("https://example.org/a%2Fb?c=%2F%2B+", "https://example.org/a%2Fb?c=%2F%2B+"),
    ],
)
def test_url_is_asked_for_as_it_was_written(url: str, asked: str) -> None:
    assert str(check_url(url)).partition("#")[0] == asked


@pytest.mark.parametrize("reference", ["/b", "b", "", "//example.org/b", "https://example.org/b"])
def test_a_redirect_is_followed_as_it_was_written(reference: str) -> None:
    """A signature may cover each character of it."""
    query = "path=%2Fm%3a&signature=%7Ea%2Fb%2B+c%3D"
    target = resolve(f"{reference}?{query}", base=check_url("https://example.org/a"))
    assert target.raw_query_string == query


SECRETS = st.text(string.ascii_letters + string.digits + "?#/:@&=%\\ \n[]", min_size=1).map(lambda text: f"QZ{text}QZ")


@given(secret=SECRETS, scheme=st.sampled_from(["http://", "ftp://", "//", "", "http:/"]))
def test_password_is_never_shown_whatever_it_contains(secret: str, scheme: str) -> None:
    text = f"{scheme}me:{secret}@example.org/path"
    assert "QZ" not in redact_text(text)


@given(secret=SECRETS, query=st.sampled_from("?#"))
def test_query_is_never_shown_whatever_it_contains(secret: str, query: str) -> None:
    assert "QZ" not in redact_text(f"http://example.org/path{query}token={secret}")


@given(url=st.text())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_every_text_is_accepted_or_refused_with_our_own_error(url: str) -> None:
    for text in (url, f"http://{url}", f"https://example.org/{url}"):
        try:
            checked = check_url(text)
        except InvalidInputException:
            continue
        assert redact(checked).isascii()


async def test_no_error_shows_the_secrets_of_a_url(
    downloads: DownloadService, server: Server, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Server() as gone:
        refused = gone.url("/refused")
    urls = [
        server.url("/missing"),
        server.add("/short", body=b"x" * 100, drop_after=50),
        server.add("/nonsense", headers={"Content-Length": "nonsense"}, announce=None),
        server.add("/nohost", redirect="http://me:SECRET@/?SECRET"),
        server.add("/file", redirect="file://SECRET@/x?SECRET"),
        server.add("/loop", redirect="/loop?SECRET"),
        server.add("/gzip", headers={"Content-Encoding": "gzip"}),
        server.add("/digest", body=b"x"),
        refused,
        "http://nowhere.invalid/x",
    ]
    with caplog.at_level(logging.DEBUG):
        for url in urls:
            secret = url.replace("//", "//me:SECRET@") + "?token=SECRET#SECRET"
            with pytest.raises(DownloadException) as caught:
                await downloads.download(secret, target, sha256="0" * 64)
            shown = "".join(traceback.format_exception(caught.value, limit=0))
            assert "SECRET" not in shown + repr(caught.value) + repr(vars(caught.value))
            assert caught.value.url == url
            assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
        ok = server.add("/ok", body=b"x").replace("//", "//me:SECRET@") + "?SECRET"
        assert "SECRET" not in repr(await downloads.download(ok, target))
    assert "SECRET" not in "".join(
        record.getMessage() for record in caplog.records if record.name.startswith("kamiwaza")
    )


def test_what_cannot_be_parsed_leads_to_no_error_that_repeats_it() -> None:
    with pytest.raises(InvalidInputException, match="cannot be parsed") as caught:
        check_url("https://me:secret@host:port/")
    assert caught.value.__context__ is None
