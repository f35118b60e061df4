"""A real PgBouncer on loopback, which pools transactions: each may go over another connection to the server."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Final, Self

import pytest
from sqlalchemy import URL, create_engine, text
from sqlalchemy.exc import OperationalError

_PATIENCE: Final = 5.0
_TRIES: Final = 5
_CONFIGURATION: Final = """
[databases]
* = host={host} port={server_port} user={user}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
ignore_startup_parameters = extra_float_digits
max_prepared_statements = 0
"""


class PgBouncer:
    """Stands before a server while its block lasts, with three connections to each database of it."""

    def __init__(self, server: URL, directory: Path) -> None:
        self._server = server
        self._directory = directory
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        program = _program("pgbouncer", package="pgbouncer")
        for _ in range(_TRIES):  # somebody else may take the port meanwhile
            if self._started(program):
                return self
        raise RuntimeError((self._directory / "log").read_text())

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(_PATIENCE)

    @property
    def url(self) -> URL:
        """Where the same database is, through it."""
        return self._server.set(host="127.0.0.1", port=self._port)

    def _started(self, program: str) -> bool:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        configuration = self._directory / "pgbouncer.ini"
        server = self._server
        settings = _CONFIGURATION.format(
            host=server.host or "127.0.0.1",
            server_port=server.port or 5432,
            user=server.username,
            password=f" password={server.password}" if server.password else "",
            port=self._port,
        )
        if _version(program) < (1, 21):
            settings = settings.replace("max_prepared_statements = 0\n", "")  # which it did not know yet
        configuration.write_text(settings)
        with (self._directory / "log").open("wb") as log:
            command = [program, *(("-u", "nobody") if os.geteuid() == 0 else ()), configuration]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + _PATIENCE
        while self._process.poll() is None and time.monotonic() < deadline:
            if self._answers():
                return True
            time.sleep(0.01)  # a program that starts tells nobody
        self.__exit__()
        return False

    def _answers(self) -> bool:
        engine = create_engine(self.url)
        try:
            with engine.connect() as connection:
                return bool(connection.execute(text("SELECT 1")).scalar_one())
        except OperationalError:
            return False
        finally:
            engine.dispose()


def _version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in said.split()[1].split(".")[:2])


def _program(name: str, *, package: str) -> str:
    """Return a program's path. Skips the test where there is none, but fails it in CI."""
    # Not every user has the directories of system programs in the path.
    program = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if program is None:
        reason = f"there is no {name} here; install one (Debian: apt-get install {package})"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return program
