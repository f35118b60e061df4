"""The server as a whole: what it records, how it ends, and who can ask it."""

import gc
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from kamiwaza_sdk import InvalidInputException
from kamiwaza_sdk.testing import (
    Delay,
    FaultyServer,
    GeneratedBody,
    HangUp,
    HuggingFaceServer,
    NoLength,
    Rate,
    RecordedRequest,
    Reset,
    Stall,
    Status,
    Step,
)
from tests.download.tls import client_context, server_context
from tests.testing.raw import ask, connect, send


def descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def eventually(request: RecordedRequest, outcome: str) -> bool:
    """Whether a request comes to this, soon."""
    end = time.monotonic() + 10
    while request.outcome != outcome and time.monotonic() < end:
        threading.Event().wait(0.01)
    return request.outcome == outcome


def test_requests_are_recorded(faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/model.bin", body=b"weights", faults=[Status(503)])
    ask(url + "?token=1", Range="bytes=2-", X_Token="secret")
    ask(url, Range="bytes=2-")
    ask(faulty_server.url("/else"), method="HEAD")
    first, second, third = faulty_server.requests
    assert (first.method, first.path, first.headers["x-token"]) == ("GET", "/model.bin?token=1", "secret")
    assert (first.status, first.outcome, second.status, second.sent) == (503, "complete", 206, 5)
    assert (third.method, third.status, third.sent) == ("HEAD", 404, 0)
    assert faulty_server.requests_to("/model.bin") == [first, second]


@pytest.mark.parametrize("fault", [Stall(at=3), Delay(30), Rate(1)])
def test_client_that_leaves(faulty_server: FaultyServer, fault: Stall | Delay | Rate) -> None:
    url = faulty_server.add("/m", body=bytes(100), faults=[fault])
    with connect(url) as connection:
        send(connection, url)
        while not faulty_server.requests:
            threading.Event().wait(0.01)
    assert eventually(faulty_server.requests[0], "abandoned")


@pytest.mark.parametrize(
    ("fault", "outcome"), [(Stall(at=3), "stalled"), (Delay(3600), "closed"), (Rate(1), "closed"), (None, "closed")]
)
def test_closing_ends_whatever_is_under_way(fault: Step, outcome: str) -> None:
    body = GeneratedBody(2**40)  # more than a client takes that does not read
    with FaultyServer() as server:
        url = server.add("/m", body=body, faults=[fault])
        with connect(url) as connection, connect(url):  # the second asks for nothing
            send(connection, url)
            while not server.requests:
                threading.Event().wait(0.01)
            if isinstance(fault, Stall):
                server.wait_for_stall()
            started = time.monotonic()
            server.close()
            assert time.monotonic() - started < 5
    assert [request.outcome for request in server.requests] == [outcome]


def test_nothing_is_left_behind() -> None:
    threads, before = threading.active_count(), descriptors()
    for _ in range(20):
        with FaultyServer() as server:
            other = server.another_origin()
            ask(other.add("/m", body=b"x"))
            idle = connect(server.add("/m", body=b"x", faults=[Stall(at=1)]))
            send(idle, server.url("/m"))
            server.wait_for_stall()
        idle.close()
    assert (threading.active_count(), descriptors()) == (threads, before)


def test_starting_and_ending_is_fast() -> None:
    started = time.monotonic()
    for _ in range(20):
        with FaultyServer():
            pass
    assert time.monotonic() - started < 5  # socketserver polls for the end: up to half a second each


def test_nobody_listens_afterwards() -> None:
    with FaultyServer() as server:
        url = server.url("/m")
    with pytest.raises(ConnectionRefusedError):
        connect(url)


def test_waiting_ends_with_patience() -> None:
    with FaultyServer(patience=0.2) as server:
        url = server.add("/m", body=b"weights", faults=[Stall(at=3), Delay(3600)])
        assert ask(url).body == b"wei"
        assert ask(url).status is None
    assert [request.outcome for request in server.requests] == ["stalled", "closed"]


def test_a_reset_waits_no_longer_for_a_client_that_does_not_read() -> None:
    with FaultyServer(patience=0.3) as server, connect(server.url("/m")) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        url = server.add("/m", body=bytes(300_000), always=Reset(200_000))
        send(client, url)
        until = time.monotonic() + 5
        while not server.requests and time.monotonic() < until:
            time.sleep(0.01)
        assert eventually(server.requests[0], "reset")


def test_what_is_sent_along_is_no_request(faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/m", body=b"weights")
    connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
    for method, body, status in (("GET", b"{}", 200), ("GET", None, 200), ("POST", bytes(8 * 1024**2), 405)):
        connection.request(method, "/m", body=body)
        with connection.getresponse() as response:
            assert (response.status, len(response.read()) > 0) == (status, True)
    connection.close()
    assert [request.method for request in faulty_server.requests] == ["GET", "GET", "POST"]


def test_nothing_stalls(faulty_server: FaultyServer) -> None:
    with pytest.raises(TimeoutError, match="no answer stalled within 0.05 s"):
        faulty_server.wait_for_stall(0.05)


def test_many_at_once(faulty_server: FaultyServer) -> None:
    body = GeneratedBody(200_000)
    url = faulty_server.add("/m", body=body, faults=[Status(503)] * 10)
    with ThreadPoolExecutor(50) as pool:
        got = list(pool.map(ask, [url] * 50))
    assert sorted(each.status or 0 for each in got) == [200] * 40 + [503] * 10
    assert {each.body for each in got if each.status == 200} == {body.read()}
    assert {request.outcome for request in faulty_server.requests} == {"complete"}


def test_fifty_are_open_at_the_same_time(faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/m", body=b"weights", always=Stall(at=3))
    with ThreadPoolExecutor(50) as pool:
        answers = [pool.submit(ask, url) for _ in range(50)]
        end = time.monotonic() + 10
        while [request.outcome for request in faulty_server.requests].count("stalled") < 50:
            assert time.monotonic() < end
            threading.Event().wait(0.01)
        while not all(answer.done() for answer in answers):
            faulty_server.release()
        assert {answer.result().body for answer in answers} == {b"weights"}


def test_another_process_can_ask(faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/m", body=b"weights")
    code = f"from urllib.request import urlopen; print(urlopen({url!r}).read())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "b'weights'\n"


def test_only_this_machine_can_ask(faulty_server: FaultyServer) -> None:
    assert faulty_server.url("/m").startswith("http://127.0.0.1:")


@pytest.mark.parametrize("hops", [1, 3])
def test_redirects_in_a_chain(faulty_server: FaultyServer, hops: int) -> None:
    final = faulty_server.add("/final", body=b"weights")
    with urlopen(faulty_server.add_redirect("/start", final, hops=hops, status=307)) as response:
        assert (response.url, response.read()) == (final, b"weights")
    assert [request.status for request in faulty_server.requests] == [307] * hops + [200]


def test_a_connection_that_is_said_to_close_closes(faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/m", body=b"weights", headers={"connection": "close"})
    with connect(url) as connection:
        connection.settimeout(2)
        send(connection, url)
        got = b"".join(iter(lambda: connection.recv(65536), b""))
    assert got.endswith(b"weights")


@pytest.mark.parametrize("start", ["/", "/der Anfang", "/始"])
def test_redirects_between_paths_as_people_write_them(faulty_server: FaultyServer, start: str) -> None:
    faulty_server.add("/das Ende/終", body=b"weights")
    with urlopen(faulty_server.add_redirect(start, "/das Ende/終", hops=3)) as response:
        assert response.read() == b"weights"


def test_redirects_in_a_circle(faulty_server: FaultyServer) -> None:
    url = faulty_server.add_redirect("/loop", "/loop", hops=2)
    first = ask(url)
    assert first.headers["location"] == "/loop/1"
    assert ask(faulty_server.url("/loop/1")).headers["location"] == "/loop"


def test_redirects_to_another_origin(faulty_server: FaultyServer) -> None:
    other = faulty_server.another_origin()
    final = other.add("/final", body=b"weights")
    with urlopen(faulty_server.add_redirect("/start", final)) as response:
        assert response.url == final
    assert len(faulty_server.requests) == len(other.requests) == 1
    assert other.requests[0].headers["host"] != faulty_server.requests[0].headers["host"]


def test_a_mistake_in_a_script_is_told_when_the_server_closes() -> None:
    def script() -> Iterator[Step]:
        yield None
        raise ZeroDivisionError("mine")

    threads = threading.active_count()
    with FaultyServer() as server:
        url = server.add("/m", body=b"x", faults=script())
        assert [ask(url).status for _ in range(2)] == [200, None]
        with pytest.raises(ZeroDivisionError, match="mine"):
            server.close()
    assert threading.active_count() == threads  # leaving closes again, which is nothing


def test_what_makes_no_sense_is_refused(faulty_server: FaultyServer) -> None:
    for path in ("model.bin", "/model.bin?token=1", "/#"):
        with pytest.raises(InvalidInputException, match="begin it with '/'"):
            faulty_server.add(path)
    with pytest.raises(InvalidInputException, match="hops"):
        faulty_server.add_redirect("/a", "/b", hops=0)
    with pytest.raises(InvalidInputException, match="serves nothing"):
        faulty_server.sha256("/nothing")
    with pytest.raises(InvalidInputException, match="entered before"):
        faulty_server.__enter__()
    with pytest.raises(InvalidInputException, match="no address yet"):
        FaultyServer().url("/")
    with pytest.raises(InvalidInputException, match="not open"):
        FaultyServer().another_origin()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"body": "text"}, "body is a str; give bytes"),
        ({"body": 7}, "body is a int; give bytes"),
        ({"body": None}, "body is a NoneType; give bytes"),
        ({"faults": Status(503)}, "faults is a Status; give a list"),
        ({"faults": lambda: iter([None])}, "faults is a function; give a list"),
        ({"faults": ["x"]}, "faults has a str for a fault; give .* a tuple, or None"),
        ({"faults": "x"}, "faults has a str for a fault; give .* a tuple, or None"),
        ({"faults": [None, [Status(503)]]}, "faults has a list for a fault; give .* a tuple, or None"),
        ({"faults": [(Status(503), "x")]}, "faults has a str for a fault; give .* a tuple, or None"),
        ({"faults": [HangUp]}, "faults has the class HangUp for a fault; give"),
        ({"always": [Status(503)]}, "always has a list for a fault; give a fault, or several as a tuple"),
        ({"always": (Status(503), None)}, "always has a NoneType for a fault; give a fault, or several as a tuple"),
        ({"always": "x"}, "always has a str for a fault; give a fault, or several as a tuple"),
    ],
)
def test_what_is_of_a_wrong_kind_is_refused_at_once(
    faulty_server: FaultyServer,
    given: dict[str, Any],  # Any: what a caller without a type checker may give
    reason: str,
) -> None:
    with pytest.raises(InvalidInputException, match=f"^{reason}"):
        faulty_server.add("/m", **given)
    assert ask(faulty_server.url("/m")).status == 404


def test_what_is_of_a_wrong_kind_is_refused_by_a_hub_too(hugging_face_server: HuggingFaceServer) -> None:
    wrong: Any = "text"  # Any: as above
    with pytest.raises(InvalidInputException, match=r"^files\.config\.json is a str; give bytes"):
        hugging_face_server.add_repository("org/tiny", {"config.json": wrong})
    assert ask(hugging_face_server.url("/api/models")).body == b"[]"
    with pytest.raises(InvalidInputException, match="^faults has a str"):
        hugging_face_server.add_faults("/api/models", [wrong])
    with pytest.raises(InvalidInputException, match="^always has a str"):
        hugging_face_server.add_faults("/api/models", always=wrong)


def test_what_an_iterator_yields_is_looked_at_when_it_is_taken() -> None:
    taken: list[int] = []

    def script() -> Iterator[Any]:  # Any: as above
        for number, step in enumerate((Status(503), "x", Status(500))):
            taken.append(number)
            yield step

    with FaultyServer() as server:
        url = server.add("/m", body=b"weights", faults=script())
        assert taken == []
        assert [ask(url).status for _ in range(3)] == [503, None, 500]
        assert (ask(url).status, taken) == (200, [0, 1, 2])
        with pytest.raises(InvalidInputException, match="^faults has a str for a fault"):
            server.close()


@pytest.mark.parametrize("body", [bytearray(b"weights"), memoryview(b"weights"), memoryview(b"w.e.i.g.h.t.s")[::2]])
def test_whatever_holds_bytes_is_served(faulty_server: FaultyServer, body: Any) -> None:  # Any: as above
    assert ask(faulty_server.add("/m", body=body)).body == b"weights"


def test_nonsense_is_no_request(faulty_server: FaultyServer) -> None:
    with connect(faulty_server.url("/")) as connection:
        connection.sendall(b"\0\1\2\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert b"400" in connection.recv(65536)
    assert faulty_server.requests == []


def test_the_server_needs_the_standard_library_only() -> None:
    code = """
import sys
from kamiwaza_sdk.testing import FaultyServer, Status
print(sorted({name.partition(".")[0] for name in sys.modules} & {"aiohttp", "sqlalchemy", "pydantic", "pytest"}))
"""
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "[]\n"


def test_it_serves_over_tls_and_so_does_another_origin(tmp_path: Path) -> None:
    with FaultyServer(tls=server_context(tmp_path)) as server:
        other = server.another_origin()
        url = server.add("/m", body=b"weights", always=NoLength())
        server.add_redirect("/r", other.add("/m", body=b"others"))
        for address, body in ((url, b"weights"), (server.url("/r"), b"others")):
            with urlopen(address, context=client_context()) as response:
                assert (address[:8], response.read()) == ("https://", body)


def test_client_that_leaves_is_noticed_over_tls_and_one_without_trust_is_no_error(tmp_path: Path) -> None:
    with FaultyServer(tls=server_context(tmp_path)) as server:
        url = server.add("/m", body=bytes(100), faults=[Stall(at=3)])
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            urlopen(url)
        with client_context().wrap_socket(connect(url), server_hostname="127.0.0.1") as connection:
            send(connection, url)
            server.wait_for_stall()
        assert eventually(server.requests[0], "abandoned")


def test_closing_while_answers_stall_over_tls_is_no_error(tmp_path: Path) -> None:
    context = server_context(tmp_path)
    for _ in range(5):
        with FaultyServer(tls=context) as server, ExitStack() as connections:
            url = server.add("/m", body=bytes(100), always=Stall(at=3))
            for _ in range(10):
                connection = client_context().wrap_socket(connect(url), server_hostname="127.0.0.1")
                send(connections.enter_context(connection), url)
            server.wait_for_stall()
            server.close()
        assert {request.outcome for request in server.requests} <= {"stalled", "closed"}


def test_clients_that_leave_before_they_are_let_in_over_tls_are_no_error(tmp_path: Path) -> None:
    with FaultyServer(tls=server_context(tmp_path)) as server:
        for _ in range(100):
            connection = connect(server.url("/"))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # it is reset
            connection.close()


def test_a_path_may_be_written_as_people_write_it() -> None:
    with FaultyServer() as server:
        url = server.add("/ein modell ü.gguf", body=b"weights")
        assert url.endswith("/ein%20modell%20%C3%BC.gguf")
        with urlopen(url) as answer:
            assert answer.read() == b"weights"
        assert server.url("/a%2Fb?c=%20").endswith("/a%2Fb?c=%20")
        assert len(server.requests_to("/ein modell ü.gguf")) == 1
