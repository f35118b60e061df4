"""A real web server, nginx, on loopback: with a configuration, a log and temporary files of its own."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import pytest

from kamiwaza_sdk.testing import GeneratedBody

__all__ = ["Nginx", "serving"]

_PATIENCE: Final = 20.0
_PIECE: Final = 1024**2
_TRIES: Final = 3
_CONFIGURATION: Final = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
    log_format sent '$body_bytes_sent $request_uri';
    access_log {directory}/sent.log sent;
    client_body_temp_path {directory}/body;
    fastcgi_temp_path {directory}/fastcgi;
    proxy_temp_path {directory}/proxy;
    scgi_temp_path {directory}/scgi;
    uwsgi_temp_path {directory}/uwsgi;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    server {{
        listen 127.0.0.1:{port}{tls};
        root {root};
        {more}
    }}
}}
"""


class Nginx:
    """Serves the files of a directory, by sendfile, with strong ETags, from entering to leaving its context.

    Args:
        root: What it serves.
        directory: Where it keeps what is its own: an empty directory.
        certificate: A PEM file with a certificate and its key, for https.
        more: More directives for its server.

    Attributes:
        root: What it serves.
    """

    def __init__(self, root: Path, directory: Path, *, certificate: Path | None = None, more: str = "") -> None:
        self.root = root
        self._directory = directory
        self._scheme = "http" if certificate is None else "https"
        if certificate is not None:
            more += f"ssl_certificate {certificate}; ssl_certificate_key {certificate};"
        self._settings = {"root": root, "directory": directory, "more": more, "tls": " ssl" if certificate else ""}
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def require() -> str:
        """Return the program. Skips the test where there is none, but fails it in CI."""
        # Not every user has the directories of system programs in the path.
        program = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
        if program is None:
            reason = "there is no nginx here; install one (Debian: apt-get install nginx-light)"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
        return program

    def __enter__(self) -> Self:
        program = self.require()
        for _ in range(_TRIES):  # somebody else may take the port meanwhile
            if self._started(program):
                return self
        raise RuntimeError((self._directory / "error.log").read_text())

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(_PATIENCE)

    def url(self, path: str) -> str:
        """Return the URL of a path here."""
        return f"{self._scheme}://127.0.0.1:{self._port}{path}"

    def sent(self, path: str) -> list[int]:
        """Return the bytes of bodies sent from a path so far, one number a request that is over."""
        lines = [line.split() for line in (self._directory / "sent.log").read_text().splitlines()]
        return [int(count) for count, asked in lines if asked == path]

    def _started(self, program: str) -> bool:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        configuration = self._directory / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(port=self._port, **self._settings))
        log = self._directory / "error.log"
        self._process = subprocess.Popen([program, "-p", self._directory, "-c", configuration, "-e", log])
        deadline = time.monotonic() + _PATIENCE
        while self._process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return True
            time.sleep(0.005)  # a program that starts tells nobody
        return False


@contextmanager
def serving(body: GeneratedBody, ground: Path, *, certificate: Path | None = None, more: str = "") -> Generator[Nginx]:
    """Serve a file with this content as ``/model.bin``; what that takes is made in a directory, which is made too."""
    (ground / "root").mkdir(parents=True)
    (ground / "own").mkdir()
    with (ground / "root/model.bin").open("wb") as file:
        for start in range(0, body.size, _PIECE):
            file.write(body.read(start, start + _PIECE))
    with Nginx(ground / "root", ground / "own", certificate=certificate, more=more) as server:
        yield server
