"""Addresses of sources: their schemes, what may be shown of them, references to repositories, and suggestions."""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple, Self
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk._validation import MAX_ADDRESS_LENGTH, check_name
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.formats.content import is_model_file_name
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException

#: What is meant as a URL, well written or not.
_MEANT_AS_URL: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:/")
_HAS_SCHEME: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://")
_PLAINLY_A_PATH: Final = re.compile(r"/(?!/)|\.{1,2}/|~")
_LOCAL: Final = frozenset({"", "localhost"})


def is_address(text: str) -> bool:
    """Whether a text looks like an address with a scheme, valid or not."""
    return _MEANT_AS_URL.match(text) is not None


def refuse_unless_address(text: str) -> None:
    """Raise `InvalidSourceException` for a text that is not a valid address."""
    if not _MEANT_AS_URL.match(text):
        problem = "is no URL, as everything in a list must be; fetch paths alone"
    elif text != text.strip():
        problem = "begins or ends with white space; strip it"
    elif not _HAS_SCHEME.match(text):
        problem = "has one slash after its scheme; write https://…, or ./… before a path"
    else:
        return
    raise InvalidSourceException(redacted(text), problem)


def scheme_of(address: str) -> str:
    """Return the scheme of an address, in lower case; empty where it has none."""
    match = _HAS_SCHEME.match(address)
    return match[1].lower() if match else ""


def path_of(address: str) -> Path:
    """Return the path of a ``file://`` address (RFC 8089); names that are not valid text keep their bytes.

    Raises:
        InvalidSourceException: It names another machine, or no absolute path, or has a query.
    """
    try:
        parts = urlsplit(address)
    except ValueError:  # brackets that hold no address
        parts = None
    if parts is None or parts.netloc.lower() not in _LOCAL:
        raise InvalidSourceException(redacted(address), "names another machine; write file:///path, or give the path")
    if parts.query or parts.fragment:
        raise InvalidSourceException(redacted(address), "has a query; write '?' as %3F and '#' as %23")
    path = os.fsdecode(unquote_to_bytes(parts.path))
    if not path.startswith("/"):
        raise InvalidSourceException(redacted(address), "names no absolute path; write file:///path")
    return Path(path)


def redacted(source: str) -> str:
    """Return a source without secrets: a path unchanged; anything else may be a URL."""
    return source if _PLAINLY_A_PATH.match(source) else redact_text(source.strip())


def displayed(source: str) -> str:
    """Return a source as valid text for JSON and databases: file systems allow names that are not."""
    text = source.encode(errors="backslashreplace").decode()
    return text if len(text) <= MAX_ADDRESS_LENGTH else f"{text[: MAX_ADDRESS_LENGTH - 1]}…"


def suggested(name: str) -> str:
    """Return the text if it can be the name of a model, or else ``model``."""
    try:
        return check_name(name)
    except InvalidInputException:
        return "model"


_KINDS: Final = frozenset({"models", "datasets", "spaces"})
_SEGMENT: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,96}")
#: What git allows in a name (git-check-ref-format), as far as it matters here: it is quoted whole in a URL.
_REVISION: Final = re.compile(r"(?!.*\.\.)[^\s\x00-\x20\x7f~^:?*\[\\#]{1,255}")
_NAME_AND_REPOSITORY: Final = (1, 2)


@dataclass(frozen=True, slots=True)
class HuggingFaceReference:
    """A repository at a revision.

    Attributes:
        kind: ``models``, ``datasets`` or ``spaces``, as the API says.
        name: ``org/repo``; what is from the hub's early days has no organisation.
        revision: A branch, a tag or a commit.
    """

    kind: str
    name: str
    revision: str

    @classmethod
    def parse(cls, reference: str) -> Self:
        """Return the reference in ``hf://[datasets/|spaces/]org/repo[@revision]``.

        Raises:
            InvalidSourceException: It is written differently.
        """
        repository, at, revision = reference.removeprefix("hf://").partition("@")
        kind, _, rest = repository.partition("/")
        name = rest if kind in _KINDS else repository
        if re.search("[?#]", repository):
            raise _refusal(redacted(reference), "has a query or a fragment, and a revision stands behind '@'")
        segments = name.split("/")
        if not all(map(_SEGMENT.fullmatch, segments)):
            raise _refusal(redacted(reference), "names no repository")
        if len(segments) not in _NAME_AND_REPOSITORY:
            raise _refusal(redacted(reference), "has more than an organisation and a name; choose files with allow=")
        if at and not _REVISION.fullmatch(revision):
            # An organisation and a name before the '@' are no user information, and can be shown.
            shown = f"hf://{repository}@" if "/" in name else redacted(reference)
            raise _refusal(shown, "names no revision after its '@'")
        return cls(kind if kind in _KINDS else "models", name, revision or "main")

    def at(self, commit: str) -> Self:
        """Return the same repository at a commit."""
        return replace(self, revision=commit)

    def named(self, name: str) -> Self:
        """Return a repository of another name, checked as `parse` does, at the same revision."""
        kind = "" if self.kind == "models" else f"{self.kind}/"
        return self.parse(f"hf://{kind}{name}@{self.revision}")

    @property
    def repository(self) -> str:
        """Its path at the hub, where models have no prefix."""
        return self.name if self.kind == "models" else f"{self.kind}/{self.name}"

    def __str__(self) -> str:
        return f"hf://{self.repository}@{self.revision}"


def _refusal(shown: str, problem: str) -> InvalidSourceException:
    return InvalidSourceException(shown, f"{problem}; write hf://org/repo or hf://org/repo@revision")


_HUGGING_FACE: Final = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
#: Their pages have addresses of the same shape, and lead to no hub of models.
_OTHER_FORGES: Final = frozenset({"github.com", "www.github.com", "gitlab.com", "bitbucket.org", "codeberg.org"})
_PAGE_SEGMENT: Final = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9_.-]{1,96}"
_REPOSITORY: Final = rf"(?P<repository>(?:(?:datasets|spaces)/)?{_PAGE_SEGMENT}/{_PAGE_SEGMENT})"
_PAGE_AT_HUB: Final = re.compile(
    rf"/{_REPOSITORY}(?:/(?:blob|tree|resolve|raw)/(?P<revision>[^/]+)(?:/(?P<path>.+?))?)?/?"
)
_NAME_AT_HUB: Final = re.compile(
    rf"(?:(?:www\.)?(?:huggingface\.co|hf\.co)/)?{_REPOSITORY}(?:@(?P<revision>[^\s@]{{1,255}}))?/?"
)
_USUAL: Final = "main"


class Suggestion(NamedTuple):
    """An address to write instead.

    Attributes:
        address: Such as ``hf://org/name``.
        way_out: An explanation for people, with further steps.
    """

    address: str
    way_out: str


def suggestion_for_page(url: str, *, endpoint: str) -> Suggestion | None:
    """Return the suggestion for the address of a hub's web page, by its host and the form of its path."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    match = _PAGE_AT_HUB.fullmatch(unquote(parts.path))
    if match is None or host in _OTHER_FORGES:
        return None
    address = _hub_address(match["repository"], match["revision"])
    chosen = f" with allow={match['path']!r}" if match["path"] else ""
    known = host in _HUGGING_FACE or host == (urlsplit(endpoint).hostname or "").lower()
    where = "" if known else f", with HUB_SERVICE_HF_ENDPOINT={parts.scheme}://{parts.netloc} if that is a hub"
    return Suggestion(address, f"fetch {address}{chosen}{where}")


def suggestion_for_name(text: str) -> Suggestion | None:
    """Return the suggestion for ``org/name``, which is not a path here; `None` for a text that looks like a path."""
    match = _NAME_AT_HUB.fullmatch(text)
    if match is None or is_model_file_name(match["repository"]):
        return None
    address = _hub_address(match["repository"], match["revision"])
    return Suggestion(address, f"write {address} for that repository of a hub")


def _hub_address(repository: str, revision: str | None) -> str:
    at = "" if revision in {None, _USUAL} else f"@{quote(revision or '', safe='/')}"
    return f"hf://{repository}{at}"
