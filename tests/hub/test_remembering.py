"""What is remembered of addresses: in a few logs, whose torn lines count as nothing, and which stay small."""

from pathlib import Path

import pytest

from kamiwaza_sdk.services.download.schemas import Validators
from kamiwaza_sdk.services.hub import cache
from kamiwaza_sdk.services.hub.cache import KnownFile, KnownFiles, digest_of


def known(number: int) -> KnownFile:
    return KnownFile(sha256=f"{number:064x}", size=number, validators=Validators(etag=f'"{number}"'))


def test_many_addresses_are_kept_and_found_in_few_files(tmp_path: Path) -> None:
    files = {f"https://example.org/{number}": known(number) for number in range(2000)}
    KnownFiles(tmp_path).put(files)
    assert KnownFiles(tmp_path).get(files) == files
    assert len(list(tmp_path.rglob("*.log"))) <= 256
    assert KnownFiles(tmp_path).get(["https://example.org/other"]) == {}


def test_the_last_word_on_an_address_counts(tmp_path: Path) -> None:
    for number in range(3):
        KnownFiles(tmp_path).put({"https://example.org/a": known(number)})
    assert KnownFiles(tmp_path).get(["https://example.org/a"]) == {"https://example.org/a": known(2)}


@pytest.mark.parametrize("lost", [1, 10, 100, 150])
def test_a_torn_line_takes_nothing_else_with_it(tmp_path: Path, lost: int) -> None:
    first = "https://example.org/0"
    start = digest_of(first)[:2]
    others = (f"https://example.org/{number}" for number in range(1, 10_000))
    second, third = [url for url in others if digest_of(url)[:2] == start][:2]
    for number, url in enumerate((first, second)):
        KnownFiles(tmp_path).put({url: known(number)})
    (log,) = tmp_path.rglob("*.log")
    log.write_bytes(log.read_bytes()[: -lost - 1])
    KnownFiles(tmp_path).put({third: known(2)})
    assert KnownFiles(tmp_path).get([first, second, third]) == {first: known(0), third: known(2)}


def test_a_log_loses_what_is_outdated_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_TIDY", 4096)
    urls = [url for url in (f"https://example.org/{n}" for n in range(2000)) if digest_of(url).startswith("00")][:3]
    for number in range(300):
        KnownFiles(tmp_path).put(dict.fromkeys(urls, known(number)))
    (log,) = tmp_path.rglob("*.log")
    assert log.stat().st_size < 3 * 4096
    assert KnownFiles(tmp_path).get(urls) == dict.fromkeys(urls, known(299))
