"""What the package promises whoever only imports it, and that its errors travel between processes."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadDiskException,
    DownloadException,
    DownloadInterruptedException,
    DownloadStatusException,
    DownloadTimeoutException,
    DownloadTooLargeException,
    InvalidInputException,
    SizeMismatchException,
    UnexpectedEncodingException,
)
from kamiwaza_sdk.exceptions import ServiceException

URL = "https://example.org/model.bin"
ERRORS = [
    DownloadException("Failed: 404"),
    DownloadStatusException(url=URL, status=503, reason="Service Unavailable"),
    DownloadInterruptedException(url=URL, reason="the body broke off", received=1, announced=2),
    DownloadTimeoutException(url=URL, seconds=1.5, received=3, setting="stall_timeout"),
    DownloadTooLargeException(url=URL, limit=1, announced=None, received=2),
    ChecksumMismatchException(url=URL, expected="0" * 64, actual="1" * 64),
    SizeMismatchException(url=URL, expected=1, actual=2),
    UnexpectedEncodingException(url=URL, encoding="gzip"),
    DownloadDiskException(url=URL, path=Path("/m"), code=28, detail="No space left on device", free=0),
    InvalidInputException("url", "is no http or https URL", value="ftp://example.org"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_error_survives_pickling(error: ServiceException) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.args, vars(again)) == (type(error), str(error), error.args, vars(error))
    assert getattr(again, "errno", None) == getattr(error, "errno", None)


def test_error_needs_no_more_than_a_message() -> None:
    error = DownloadException("Failed: 404")
    assert (str(error), error.url) == ("Failed: 404", None)


def test_importing_loads_neither_the_client_nor_the_bar() -> None:
    code = (
        "import sys; from kamiwaza_sdk import DownloadService, DownloadConfig, DownloadException;"
        "print([name for name in ('aiohttp', 'yarl', 'tqdm', 'sqlalchemy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_first_call_loads_what_it_needs(tmp_path: Path) -> None:
    code = (
        "import asyncio, pathlib, sys\n"
        "from tests.serving import Server\n"
        "from kamiwaza_sdk import DownloadConfig, DownloadService\n"
        "with Server() as server:\n"
        "    url = server.add('/m', body=b'x')\n"
        "    asyncio.run(DownloadService().download(url, pathlib.Path(sys.argv[1])))\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(tmp_path / "m")], check=True)
    assert (tmp_path / "m").read_bytes() == b"x"
