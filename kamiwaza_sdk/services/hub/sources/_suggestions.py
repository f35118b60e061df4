"""What to write instead of an address that leads to a hub's page, or of a name that is no file here."""

import re
from typing import Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from kamiwaza_sdk.formats.content import is_model_file_name

__all__ = ["Suggestion", "suggestion_for_name", "suggestion_for_page"]

_HUGGING_FACE: Final = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
#: Their pages have addresses of the same shape, and lead to no hub of models.
_OTHER_FORGES: Final = frozenset({"github.com", "www.github.com", "gitlab.com", "bitbucket.org", "codeberg.org"})
_SEGMENT: Final = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9_.-]{1,96}"
_REPOSITORY: Final = rf"(?P<repository>(?:(?:datasets|spaces)/)?{_SEGMENT}/{_SEGMENT})"
_PAGE: Final = re.compile(rf"/{_REPOSITORY}(?:/(?:blob|tree|resolve|raw)/(?P<revision>[^/]+)(?:/(?P<path>.+?))?)?/?")
_NAME: Final = re.compile(
    rf"(?:(?:www\.)?(?:huggingface\.co|hf\.co)/)?{_REPOSITORY}(?:@(?P<revision>[^\s@]{{1,255}}))?/?"
)
_USUAL: Final = "main"


class Suggestion(NamedTuple):
    """What to write instead.

    Attributes:
        address: Such as ``hf://org/name``.
        way_out: The same for people to read, with whatever else is to be done.
    """

    address: str
    way_out: str


def suggestion_for_page(url: str, *, endpoint: str) -> Suggestion | None:
    """Return what to write for the address of a page at a hub, told by its host and the shape of its path."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    match = _PAGE.fullmatch(unquote(parts.path))
    if match is None or host in _OTHER_FORGES:
        return None
    address = _address(match["repository"], match["revision"])
    chosen = f" with allow={match['path']!r}" if match["path"] else ""
    known = host in _HUGGING_FACE or host == (urlsplit(endpoint).hostname or "").lower()
    where = "" if known else f", with HUB_SERVICE_HF_ENDPOINT={parts.scheme}://{parts.netloc} if that is a hub"
    return Suggestion(address, f"fetch {address}{chosen}{where}")


def suggestion_for_name(text: str) -> Suggestion | None:
    """Return what to write for ``org/name``, which is no path here; `None` for what looks like a path all the same."""
    match = _NAME.fullmatch(text)
    if match is None or is_model_file_name(match["repository"]):
        return None
    address = _address(match["repository"], match["revision"])
    return Suggestion(address, f"write {address} for that repository of a hub")


def _address(repository: str, revision: str | None) -> str:
    at = "" if revision in {None, _USUAL} else f"@{quote(revision or '', safe='/')}"
    return f"hf://{repository}{at}"
