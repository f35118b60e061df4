"""Who has the right to bring a file, by the lock on its journal."""

from pathlib import Path

import pytest

from kamiwaza_sdk.services.download._claim import FileClaim, Place
from kamiwaza_sdk.services.download._journal import Header

HEADER = Header(url="u", final_url="https://example.org/m").line()
LINE = f"4194304 {'cd' * 32}\n".encode()
PUBLISHED = f"published 3 {'ab' * 32}\n".encode()


@pytest.mark.parametrize("last_word", [PUBLISHED, b""])
def test_a_journal_that_is_only_renamed_by_unlinking_guards_nothing_any_more(tmp_path: Path, last_word: bytes) -> None:
    """As on NFS, where an open file that is unlinked gets another name, and keeps its link."""
    leader, follower, newcomer = (FileClaim(Place(tmp_path / "m")) for _ in range(3))
    assert leader.attempt()
    leader.begin(HEADER)
    assert not follower.attempt()
    leader.append(last_word)
    leader.journal.rename(tmp_path / ".nfs0001")
    leader.release()

    assert follower.attempt()
    assert (follower.outcome is not None) is bool(last_word)
    assert newcomer.attempt() is bool(last_word)
    for claim in (follower, newcomer):
        claim.release()


def test_what_is_right_in_a_journal_is_not_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So whoever goes on, and dies at once, costs nothing of what was there."""
    claim = FileClaim(Place(tmp_path / "m"))
    assert claim.attempt()
    claim.begin(HEADER + LINE)
    claim.append(b"torn")
    with monkeypatch.context() as patched:
        patched.setattr("os.write", lambda *_: pytest.fail("nothing is to be written"))
        claim.begin(HEADER + LINE)
    assert claim.journal.read_bytes() == HEADER + LINE
    claim.begin(LINE)
    claim.append(LINE)
    assert claim.journal.read_bytes() == LINE + LINE
    claim.release()
