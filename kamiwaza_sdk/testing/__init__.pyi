# Written by tests/public_names.py from kamiwaza_sdk/_names.py.

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
