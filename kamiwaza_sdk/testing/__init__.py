"""What applications that embed the registry test with: a pytest plugin, loaded by being installed, and fakes.

The fixtures:

- ``mock_db``: a real session on a database in memory, with the registry's tables; undone after the test.
- ``mock_model``: one model in it, as `ModelSchema`.
- ``faulty_server``: a `FaultyServer`, which serves over HTTP on loopback, well or badly.
- ``hugging_face_server``: a `HuggingFaceServer`, which is a Hugging-Face-compatible hub on loopback.
- ``fake_hub``: a `FakeHub`, which fetches nothing and always succeeds.
- ``fake_downloads``: a `FakeDownloads`, which brings the files that it was given, without a network.

Everything public is importable from here, and loaded when first used.

Example::

    def test_my_fetcher_tries_again(faulty_server):
        url = faulty_server.add("/model.bin", body=b"weights", faults=[Status(503), Truncate(at=3), None])
        assert my_fetcher(url) == b"weights"
        assert [request.status for request in faulty_server.requests] == [503, 200, 200]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kamiwaza_sdk.testing.bodies import GeneratedBody as GeneratedBody
    from kamiwaza_sdk.testing.downloads import DownloadCall as DownloadCall
    from kamiwaza_sdk.testing.downloads import FakeDownloads as FakeDownloads
    from kamiwaza_sdk.testing.faults import Changed as Changed
    from kamiwaza_sdk.testing.faults import Chunked as Chunked
    from kamiwaza_sdk.testing.faults import Compressed as Compressed
    from kamiwaza_sdk.testing.faults import Delay as Delay
    from kamiwaza_sdk.testing.faults import Fault as Fault
    from kamiwaza_sdk.testing.faults import FlipBit as FlipBit
    from kamiwaza_sdk.testing.faults import HangUp as HangUp
    from kamiwaza_sdk.testing.faults import Headers as Headers
    from kamiwaza_sdk.testing.faults import IgnoreRange as IgnoreRange
    from kamiwaza_sdk.testing.faults import NoLength as NoLength
    from kamiwaza_sdk.testing.faults import Outcome as Outcome
    from kamiwaza_sdk.testing.faults import Rate as Rate
    from kamiwaza_sdk.testing.faults import RecordedRequest as RecordedRequest
    from kamiwaza_sdk.testing.faults import Redirect as Redirect
    from kamiwaza_sdk.testing.faults import Reset as Reset
    from kamiwaza_sdk.testing.faults import SlowHead as SlowHead
    from kamiwaza_sdk.testing.faults import Stall as Stall
    from kamiwaza_sdk.testing.faults import Status as Status
    from kamiwaza_sdk.testing.faults import Step as Step
    from kamiwaza_sdk.testing.faults import Trickle as Trickle
    from kamiwaza_sdk.testing.faults import Truncate as Truncate
    from kamiwaza_sdk.testing.faults import WrongContentRange as WrongContentRange
    from kamiwaza_sdk.testing.faults import WrongLength as WrongLength
    from kamiwaza_sdk.testing.hub import FakeHub as FakeHub
    from kamiwaza_sdk.testing.hub import HubCall as HubCall
    from kamiwaza_sdk.testing.hugging_face import HuggingFaceServer as HuggingFaceServer
    from kamiwaza_sdk.testing.server import FaultyServer as FaultyServer

__all__ = [
    "Changed",
    "Chunked",
    "Compressed",
    "Delay",
    "DownloadCall",
    "FakeDownloads",
    "FakeHub",
    "Fault",
    "FaultyServer",
    "FlipBit",
    "GeneratedBody",
    "HangUp",
    "Headers",
    "HubCall",
    "HuggingFaceServer",
    "IgnoreRange",
    "NoLength",
    "Outcome",
    "Rate",
    "RecordedRequest",
    "Redirect",
    "Reset",
    "SlowHead",
    "Stall",
    "Status",
    "Step",
    "Trickle",
    "Truncate",
    "WrongContentRange",
    "WrongLength",
]

#: Which module each name comes from.
_MODULES: Final = {
    "Changed": "kamiwaza_sdk.testing.faults",
    "Chunked": "kamiwaza_sdk.testing.faults",
    "Compressed": "kamiwaza_sdk.testing.faults",
    "Delay": "kamiwaza_sdk.testing.faults",
    "DownloadCall": "kamiwaza_sdk.testing.downloads",
    "FakeDownloads": "kamiwaza_sdk.testing.downloads",
    "FakeHub": "kamiwaza_sdk.testing.hub",
    "Fault": "kamiwaza_sdk.testing.faults",
    "FaultyServer": "kamiwaza_sdk.testing.server",
    "FlipBit": "kamiwaza_sdk.testing.faults",
    "GeneratedBody": "kamiwaza_sdk.testing.bodies",
    "HangUp": "kamiwaza_sdk.testing.faults",
    "Headers": "kamiwaza_sdk.testing.faults",
    "HubCall": "kamiwaza_sdk.testing.hub",
    "HuggingFaceServer": "kamiwaza_sdk.testing.hugging_face",
    "IgnoreRange": "kamiwaza_sdk.testing.faults",
    "NoLength": "kamiwaza_sdk.testing.faults",
    "Outcome": "kamiwaza_sdk.testing.faults",
    "Rate": "kamiwaza_sdk.testing.faults",
    "RecordedRequest": "kamiwaza_sdk.testing.faults",
    "Redirect": "kamiwaza_sdk.testing.faults",
    "Reset": "kamiwaza_sdk.testing.faults",
    "SlowHead": "kamiwaza_sdk.testing.faults",
    "Stall": "kamiwaza_sdk.testing.faults",
    "Status": "kamiwaza_sdk.testing.faults",
    "Step": "kamiwaza_sdk.testing.faults",
    "Trickle": "kamiwaza_sdk.testing.faults",
    "Truncate": "kamiwaza_sdk.testing.faults",
    "WrongContentRange": "kamiwaza_sdk.testing.faults",
    "WrongLength": "kamiwaza_sdk.testing.faults",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562): every test run of the host's imports this module."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List what can be imported, loaded or not."""
    return sorted({*globals(), *__all__})
