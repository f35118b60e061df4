"""Each fault, as a client without mercy sees it."""

import gzip
import itertools
import threading
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from kamiwaza_sdk import InvalidInputException
from kamiwaza_sdk.testing import (
    Changed,
    Chunked,
    Compressed,
    Delay,
    Fault,
    FaultyServer,
    FlipBit,
    GeneratedBody,
    HangUp,
    Headers,
    IgnoreRange,
    NoLength,
    Rate,
    Redirect,
    Reset,
    SlowHead,
    Stall,
    Status,
    Trickle,
    Truncate,
    WrongContentRange,
    WrongLength,
)
from tests.testing.raw import Got, ask, connect, send

BODY = b"0123456789"
LARGE = GeneratedBody(3_000_000)


def served(server: FaultyServer, *faults: Fault, body: bytes | GeneratedBody = BODY, **headers: str) -> Got:
    """Return what a request gets that these faults befall together."""
    return ask(server.add("/m", body=body, faults=[faults]), **headers)


def outcomes(server: FaultyServer) -> list[tuple[int | None, int, str]]:
    return [(request.status, request.sent, request.outcome) for request in server.requests]


def test_each_request_takes_the_next_of_the_script(faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[Status(503), None, (Status(500), Delay(0))])
    assert [ask(url).status for _ in range(5)] == [503, 200, 500, 200, 200]
    assert [request.status for request in faulty_server.requests] == [503, 200, 500, 200, 200]


def test_a_script_may_be_endless(faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/m", body=BODY, faults=itertools.cycle([Status(503), None]))
    assert [ask(url).status for _ in range(4)] == [503, 200, 503, 200]


def test_what_always_befalls_comes_with_the_script(faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[FlipBit(0)], always=Truncate(at=3))
    assert [ask(url).body for _ in range(2)] == [b"112", b"012"]


@pytest.mark.parametrize(
    ("after", "sent"),
    [
        (None, None),
        (0, "0"),
        (120, "120"),
        ("soon", "soon"),
        (datetime(2026, 1, 1, tzinfo=UTC), "Thu, 01 Jan 2026 00:00:00 GMT"),
        (datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))), "Wed, 31 Dec 2025 23:00:00 GMT"),
    ],
)
def test_status(faulty_server: FaultyServer, after: int | datetime | str | None, sent: str | None) -> None:
    got = served(faulty_server, Status(503, retry_after=after, body=b"busy"))
    assert (got.status, got.headers.get("retry-after"), got.body) == (503, sent, b"busy")
    assert "etag" not in got.headers


def test_redirect(faulty_server: FaultyServer) -> None:
    got = served(faulty_server, Redirect("elsewhere?x=1", 307))
    assert (got.status, got.headers["location"]) == (307, "elsewhere?x=1")


def test_hang_up(faulty_server: FaultyServer) -> None:
    got = served(faulty_server, HangUp())
    assert (got.status, got.end) == (None, "closed")
    assert outcomes(faulty_server) == [(None, 0, "truncated")]


def test_delay(faulty_server: FaultyServer) -> None:
    got = served(faulty_server, Delay(0.1), Delay(0.1))
    assert got.body == BODY
    assert got.moments[0] >= 0.2


def test_slow_head(faulty_server: FaultyServer) -> None:
    got = served(faulty_server, SlowHead(0.3))
    assert (got.status, got.body) == (200, BODY)
    assert got.moments[0] < 0.2
    assert got.moments[-1] >= 0.28
    assert len(got.moments) > 10


def test_a_short_head_is_as_slow(faulty_server: FaultyServer) -> None:
    got = served(faulty_server, SlowHead(0.5), Status(204))
    assert (got.status, got.moments[-1] >= 0.49) == (204, True)


@pytest.mark.parametrize("at", [0, 1, 9, 1_500_000])
def test_truncate(faulty_server: FaultyServer, at: int) -> None:
    got = served(faulty_server, Truncate(at), body=LARGE)
    assert (got.status, got.headers["content-length"], got.end) == (200, "3000000", "closed")
    assert got.body == LARGE.read(0, at)
    assert outcomes(faulty_server) == [(200, at, "truncated")]


@pytest.mark.parametrize("at", [0, 1, 9, 1_500_000])
def test_reset(faulty_server: FaultyServer, at: int) -> None:
    got = served(faulty_server, Reset(at), body=LARGE)
    assert (got.status, got.headers["content-length"], got.end) == (200, "3000000", "reset")
    assert got.body == LARGE.read(0, at)
    assert outcomes(faulty_server) == [(200, at, "reset")]


@pytest.mark.parametrize("fault", [Truncate(at=11), Reset(at=11), Stall(at=11)])
def test_a_cut_beyond_the_end_does_not_happen(faulty_server: FaultyServer, fault: Fault) -> None:
    got = served(faulty_server, fault)
    assert (got.body, got.end, outcomes(faulty_server)) == (BODY, "closed", [(200, 10, "complete")])


def test_a_cut_at_the_end_happens_after_the_last_byte(faulty_server: FaultyServer) -> None:
    got = served(faulty_server, Reset(at=10))
    assert (got.body, got.end) == (BODY, "reset")


def test_a_cut_counts_what_is_sent_of_a_range(faulty_server: FaultyServer) -> None:
    assert served(faulty_server, Truncate(at=3), Range="bytes=4-").body == b"456"


@pytest.mark.parametrize("at", [0, 4, 10])
def test_stall_ends_when_released(faulty_server: FaultyServer, at: int) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[Stall(at)])
    with connect(url) as connection:
        send(connection, url, Connection="close")
        faulty_server.wait_for_stall()
        assert outcomes(faulty_server) == [(200, at, "stalled")]
        before = connection.recv(65536)
        while not before.endswith(b"\r\n\r\n" + BODY[:at]):
            before += connection.recv(65536)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(20)
        faulty_server.release()
        after = b"".join(iter(lambda: connection.recv(65536), b""))
    assert after == BODY[at:]
    assert outcomes(faulty_server) == [(200, 10, "complete")]


def test_a_stall_comes_before_what_comes_later(faulty_server: FaultyServer) -> None:
    def release() -> None:
        faulty_server.wait_for_stall()
        faulty_server.release()

    releasing = threading.Thread(target=release)
    releasing.start()
    assert served(faulty_server, Truncate(at=7), Stall(at=3)).body == BODY[:7]
    releasing.join()


def test_trickle(faulty_server: FaultyServer) -> None:
    got = served(faulty_server, Trickle(2, every=0.04))
    assert got.body == BODY
    assert got.moments[-1] >= 0.2
    assert len(got.moments) >= 5


def test_rate_is_of_each_connection(faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/m", body=GeneratedBody(100_000), always=Rate(200_000))
    started = time.monotonic()
    threads = [threading.Thread(target=ask, args=(url,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.45 <= time.monotonic() - started < 4  # it would be 5 if they shared it


def test_ignore_range(faulty_server: FaultyServer) -> None:
    got = served(faulty_server, IgnoreRange(), Range="bytes=4-5")
    assert (got.status, got.body, "content-range" in got.headers) == (200, BODY, False)


@pytest.mark.parametrize(
    ("fault", "stated"),
    [
        (WrongContentRange(shift=1), "bytes 5-6/10"),
        (WrongContentRange(total=11), "bytes 4-5/11"),
        (WrongContentRange(shift=-4, total=9), "bytes 0-1/9"),
    ],
)
def test_wrong_content_range(faulty_server: FaultyServer, fault: Fault, stated: str) -> None:
    got = served(faulty_server, fault, Range="bytes=4-5")
    assert (got.status, got.headers["content-range"], got.body) == (206, stated, b"45")


@pytest.mark.parametrize(("by", "stated"), [(5, "15"), (-3, "7"), (-99, "0")])
def test_wrong_length(faulty_server: FaultyServer, by: int, stated: str) -> None:
    got = served(faulty_server, WrongLength(by))
    assert (got.headers["content-length"], got.body, got.end) == (stated, BODY, "closed")


def test_no_length(faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/m", body=BODY, always=NoLength())
    with connect(url) as connection:
        send(connection, url)
        got = b"".join(iter(lambda: connection.recv(65536), b""))
    assert got.endswith(b"\r\n\r\n" + BODY)
    assert b"Content-Length" not in got
    assert b"Transfer-Encoding" not in got


def test_chunked(faulty_server: FaultyServer) -> None:
    got = served(faulty_server, Chunked())
    assert (got.headers["transfer-encoding"], got.body) == ("chunked", b"a\r\n0123456789\r\n0\r\n\r\n")
    assert "content-length" not in got.headers
    assert served(faulty_server, Chunked(), Truncate(at=3)).body == b"3\r\n012\r\n"


def test_compressed(faulty_server: FaultyServer) -> None:
    got = served(faulty_server, Compressed(), NoLength(), Accept_Encoding="identity", body=LARGE)
    assert got.headers["content-encoding"] == "gzip"
    assert gzip.decompress(got.body) == LARGE.read()
    assert served(faulty_server, Compressed()).headers["transfer-encoding"] == "chunked"


def test_changed_content_stays_changed(faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[None, Changed(), None, Changed(b"new")])
    got = [ask(url) for _ in range(5)]
    changed = got[1].body
    assert [each.body for each in got] == [BODY, changed, changed, b"new", b"new"]
    assert len(changed) == len(BODY)
    assert all(old != new for old, new in zip(BODY, changed, strict=True))
    assert len({each.headers["etag"] for each in got}) == len({each.headers["last-modified"] for each in got}) == 3
    assert ask(url, Range="bytes=1-", If_Range=got[0].headers["etag"]).status == 200


@pytest.mark.parametrize("body", [BODY, GeneratedBody(10)])
def test_content_that_changes_with_each_request(faulty_server: FaultyServer, body: bytes | GeneratedBody) -> None:
    url = faulty_server.add("/m", body=body, always=Changed())
    got = [ask(url) for _ in range(300)]
    assert len({each.headers["etag"] for each in got}) == 300
    assert all(one.body != next_one.body for one, next_one in itertools.pairwise(got))


def test_flip_bit(faulty_server: FaultyServer) -> None:
    assert served(faulty_server, FlipBit(3, bit=0)).body == b"0122456789"
    assert served(faulty_server, FlipBit(3), FlipBit(9, bit=7), Range="bytes=3-3").body == b"2"
    assert served(faulty_server, FlipBit(3), Range="bytes=4-").body == b"456789"
    got = served(faulty_server, FlipBit(2_000_000), body=LARGE).body
    assert [i for i, (one, other) in enumerate(zip(got, LARGE.read(), strict=True)) if one != other] == [2_000_000]


def test_headers(faulty_server: FaultyServer) -> None:
    got = served(faulty_server, Headers({"etag": 'W/"1"', "LAST-MODIFIED": None, "X-Extra": "1"}))
    assert (got.headers["etag"], got.headers["x-extra"], "last-modified" in got.headers) == ('W/"1"', "1", False)


def test_faults_of_a_body_leave_an_answer_without_one_alone(faulty_server: FaultyServer) -> None:
    always = (Truncate(at=0), Stall(at=0), FlipBit(0), Trickle(), Chunked())
    url = faulty_server.add("/m", body=BODY, headers={"ETag": '"1"'}, always=always)
    assert ask(url, method="HEAD").status == 200
    assert ask(url, If_None_Match='"1"').status == 304
    assert {request.outcome for request in faulty_server.requests} == {"complete"}


@pytest.mark.parametrize(
    "make",
    [
        lambda: Truncate(at=-1),
        lambda: Reset(at=-1),
        lambda: Stall(at=-1),
        lambda: Delay(-0.1),
        lambda: Delay(float("nan")),
        lambda: SlowHead(-1),
        lambda: Trickle(0),
        lambda: Trickle(every=-1),
        lambda: Rate(0),
        lambda: FlipBit(-1),
        lambda: FlipBit(0, bit=8),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(make: type[Fault]) -> None:
    with pytest.raises(InvalidInputException, match="give"):
        make()


def test_content_that_was_given_changes_like_any_other(faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/m", body=b"aaa", faults=[Changed(b"ccccc"), Changed(), Changed()])
    bodies = [ask(url).body for _ in range(3)]
    assert bodies == [b"ccccc", b"ddddd", b"eeeee"]


def test_a_body_that_is_text_is_refused_when_the_fault_is_made() -> None:
    with pytest.raises(InvalidInputException, match="body of Status is a str; give bytes"):
        Status(503, body="busy")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(InvalidInputException, match="body is a str; give bytes"):
        Changed(body="new")  # type: ignore[arg-type]  # the mistake under test
