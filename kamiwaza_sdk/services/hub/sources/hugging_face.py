"""``hf://``: a repository of a Hugging-Face-compatible hub, pinned to a commit.

The API is the one that ``huggingface_hub`` uses (https://huggingface.co/docs/hub/api):
``/api/models/{repository}/revision/{revision}`` returns the commit, ``/api/models/{repository}/tree/{commit}`` the
files, and ``/{repository}/resolve/{commit}/{path}`` the bytes of one. Refusals become typed errors here.
"""

import asyncio
import logging
import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Required, TypeVar
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk._validation import MAX_SIZE, check_path, check_sha256, check_text, constructed, shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.formats.licences import all_of
from kamiwaza_sdk.services.hub.addresses import HuggingFaceReference, suggested
from kamiwaza_sdk.services.hub.exceptions import (
    InvalidAnswerException,
    InvalidSourceException,
    RepositoryAccessException,
    RepositoryNotFoundException,
    RepositoryRenamedException,
    RevisionNotFoundException,
)
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.sources.protocol import SourceContext

if TYPE_CHECKING:
    from kamiwaza_sdk.services.download.schemas import ResponseSchema


_MAX_WORD_LENGTH: Final = 255
_MAX_WORDS: Final = 1000
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_RENAMED: Final = re.compile(r"/api/(models|datasets|spaces)/([^/]+(?:/[^/]+)?)/revision/")
_REFUSED: Final = frozenset({401, 403})
_OK: Final = 200
_NOT_FOUND: Final = 404

#: How much of a list is parsed at once, and what may lie between two places where it can be cut.
_PIECE: Final = 256 * 1024
_MAX_ENTRY: Final = 2 * 1024**2
_TRIES: Final = 8
#: What may be parsed at once, near enough: other threads have to wait meanwhile, some 30 milliseconds.
_MAX_VALUES: Final = 1_000_000
_BETWEEN: Final = re.compile(rb"\}\s{0,16},\s{0,16}(?=\{)")

_T = TypeVar("_T")


def word(value: object) -> str | None:
    """Return a word about a repository, or `None` if it is not valid: cards are written by hand."""
    if isinstance(value, list):
        value = ", ".join(item for item in value if isinstance(item, str))
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_WORD_LENGTH:
        return None
    try:
        return check_text(value)
    except InvalidInputException:
        return None


def words(value: object) -> tuple[str, ...]:
    """Return the valid words of several."""
    several = value if isinstance(value, list) else []
    return tuple(filter(None, map(word, several)))[:_MAX_WORDS]


_Word = Annotated[str | None, BeforeValidator(word)]


class Described(BaseModel):
    """The fields of the API for every repository."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    id: str
    author: _Word = None
    private: bool = False
    gated: object = False
    tags: Annotated[tuple[str, ...], BeforeValidator(words)] = ()
    task: _Word = Field(default=None, alias="pipeline_tag")
    card: object = Field(default=None, alias="cardData")

    @property
    def is_gated(self) -> bool:
        """Whether its files are only for users who accepted its conditions: ``auto`` or ``manual`` in the API."""
        return bool(self.gated)

    @property
    def license(self) -> str | None:
        """The licence in its card, or else in the tag that the hub made of it."""
        written = self.card.get("license") if isinstance(self.card, Mapping) else None
        named = [one for one in (written if isinstance(written, list) else [written]) if isinstance(one, str)]
        return word(all_of(named)) or word(all_of(tag[8:] for tag in self.tags if tag.startswith("license:")))


class Info(Described):
    """The fields for a repository at a revision."""

    sha: str = Field(pattern=r"^[0-9a-f]{40}$")


class _Lfs(TypedDict):
    oid: Annotated[str, Field(pattern=r"^(?:sha256:)?[0-9A-Fa-f]{64}$")]
    size: Annotated[int, Field(ge=0, le=MAX_SIZE)]


class _Entry(TypedDict, total=False):
    """A file or directory in a listing: a dictionary, because there are so many."""

    type: Required[str]
    path: Required[str]
    size: Annotated[int, Field(ge=0, le=MAX_SIZE)]
    oid: Annotated[str | None, Field(pattern=r"^[0-9a-f]{40}$")]
    lfs: _Lfs | None
    xetHash: str | None


def parsed(kind: TypeAdapter[_T], response: "ResponseSchema", *, url: str, what: str) -> _T:
    """Return the JSON of an answer.

    Raises:
        InvalidAnswerException: It is none, or of something else.
    """
    return _parsed(kind, response.body, response, url=url, what=what)


def parsed_list(kind: TypeAdapter[list[_T]], response: "ResponseSchema", *, url: str, what: str, most: int) -> list[_T]:
    """Return the list that an answer holds, or so many of it and one more. In pieces: other threads wait for each.

    Between two entries there is always the same to see. Where that is within a text, or deeper, what comes before it is
    no JSON: so the next such place is tried.

    Raises:
        InvalidAnswerException: It is none, or of something else.
    """
    body = response.body
    if len(body) <= _PIECE:
        return parsed(kind, response, url=url, what=what)
    begin = len(body) - len(body.lstrip()) + 1
    if body[begin - 1 : begin] != b"[":
        raise InvalidAnswerException(url=redact_text(url), reason=f"is no {what}, but no list at all")
    entries = list[_T]()
    while begin < len(body) and len(entries) <= most:
        piece, begin = _piece(kind, response, begin, url=url, what=what)
        entries += piece
    return entries


def _piece(
    kind: TypeAdapter[list[_T]], response: "ResponseSchema", begin: int, *, url: str, what: str
) -> tuple[list[_T], int]:
    body, wanted = response.body, begin + _PIECE
    for last in reversed(range(_TRIES)):
        found = _BETWEEN.search(body, wanted)
        end, following = (len(body), len(body)) if found is None else (found.start() + 1, found.end())
        if end - begin > _MAX_ENTRY:
            reason = f"is no {what}: it has an entry of over {_MAX_ENTRY} bytes"
            raise InvalidAnswerException(url=redact_text(url), reason=reason)
        text = b"[%b%b" % (body[begin:end], b"" if found is None else b"]")
        try:
            return _parsed(kind, text, response, url=url, what=what), following
        except InvalidAnswerException:
            if found is None or not last:
                raise
            wanted = following
    raise AssertionError  # the last try returns or raises


def _parsed(kind: TypeAdapter[_T], body: bytes, response: "ResponseSchema", *, url: str, what: str) -> _T:
    if len(body) > _MAX_VALUES and sum(map(body.count, (b",", b"[", b"{"))) > _MAX_VALUES:
        raise InvalidAnswerException(url=redact_text(url), reason=f"is no {what}: it has over {_MAX_VALUES} values")
    try:
        return kind.validate_json(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, problem["loc"]))
        media = response.headers.get("content-type", "of no type")
        reason = f"is no {what} but {shown(media)}: {f'{place} ' if place else ''}{shown(problem['msg'], limit=200)}"
        raise InvalidAnswerException(url=redact_text(url), reason=reason) from None  # the error holds all of the answer


def raise_for_status(
    response: "ResponseSchema", wanted: HuggingFaceReference, *, url: str, page: str, authenticated: bool
) -> None:
    """Raise the error of an answer other than 200, by ``X-Error-Code`` or, for other hubs, by the status.

    Raises:
        RepositoryAccessException: Its conditions were not accepted; or 401, or 403: the hub does not say whether there
            is such a repository.
        RepositoryNotFoundException: 404: there is none, or not for this token.
        RevisionNotFoundException: It has no such branch, tag or commit.
        InvalidAnswerException: It is anything else.
    """
    if response.status == _OK:
        return
    code = response.headers.get("x-error-code")
    plain = redact_text(url)
    if code == "GatedRepo":
        raise RepositoryAccessException(repository=wanted.repository, url=page, authenticated=authenticated, gated=True)
    if response.status in _REFUSED:
        raise RepositoryAccessException(
            repository=wanted.repository, url=plain, authenticated=authenticated, gated=False
        )
    if code in {"RevisionNotFound", "EntryNotFound"}:
        raise RevisionNotFoundException(repository=wanted.repository, revision=wanted.revision)
    if response.status == _NOT_FOUND:
        raise RepositoryNotFoundException(repository=wanted.repository, url=plain)
    raise InvalidAnswerException(url=plain, reason=f"has the status {response.status}")


def described_by(
    info: Info, wanted: HuggingFaceReference, response: "ResponseSchema", *, url: str
) -> HuggingFaceReference:
    """Return the described repository: the wanted one, or the one to which the hub redirected, by its new name.

    Hubs ignore the case of names.

    Raises:
        RepositoryRenamedException: The hub redirected to a repository of another kind.
        InvalidAnswerException: It is another repository, or another commit.
    """
    asked, answered = urlsplit(url).path, urlsplit(response.url).path
    moved = _RENAMED.search(answered) if unquote(asked) != unquote(answered) else None
    actual = wanted
    if moved is not None and unquote(moved[2]) != wanted.name:
        if moved[1] != wanted.kind:
            raise RepositoryRenamedException(repository=wanted.repository, renamed_to=unquote(f"{moved[1]}/{moved[2]}"))
        actual = wanted.named(unquote(moved[2]))
    if info.id.lower() != actual.name.lower():
        reason = f"describes {shown(info.id)} and not {shown(actual.name)}"
        raise InvalidAnswerException(url=redact_text(url), reason=reason)
    if _COMMIT.fullmatch(wanted.revision) and info.sha != wanted.revision:
        reason = f"is of the commit {info.sha} and not of {wanted.revision}"
        raise InvalidAnswerException(url=redact_text(url), reason=reason)
    return actual


_logger: Final = logging.getLogger(__name__)
#: How many files and directories a listing may have: what one holds in memory.
MAX_ENTRIES: Final = 100_000
#: What is told of a repository: its hundred thousand files take less.
_MAX_INFO: Final = 8 * 1024**2
#: What takes less time to read than a thread takes to begin.
_SMALL: Final = 16 * 1024
_HUGGING_FACE: Final = "https://huggingface.co"
#: What stands in a URL as it is.
_UNQUOTED: Final = re.compile(r"[A-Za-z0-9_./-]*")
_INFO: Final = TypeAdapter(Info)
#: What is known of a file in a listing.
_FIELDS: Final = {"path", "url", "size", "sha256", "git_blob_id"}
#: Of what is wrong, the first thing is told: an error for each of millions of entries would take gigabytes.
_TREE: Final = TypeAdapter(Annotated[list[_Entry], FailFast()])


class HuggingFaceSource:
    """The files of a repository at a commit."""

    async def resolve(self, reference: str, context: SourceContext) -> ManifestSchema:
        """Return the files as the hub lists them: one request for the commit, and one for each page of the listing.

        A renamed repository is followed, and the manifest has the new name.

        Raises:
            InvalidSourceException: The reference is none, or the repository is empty or too large.
            RepositoryNotFoundException: There is no such repository, or not for this token.
            RepositoryAccessException: The hub does not say whether there is; or its conditions were not accepted.
            RepositoryRenamedException: It has become a repository of another kind.
            RevisionNotFoundException: It has no such branch, tag or commit.
            InvalidAnswerException: The hub's answer cannot be used.
            OfflineException: No connection may be opened, and it was not resolved before.
            DownloadException: The hub does not answer.
        """
        wanted = HuggingFaceReference.parse(reference)
        endpoint = context.config.hf_endpoint
        if context.offline:
            return await context.recall(_key(wanted, endpoint))
        info, actual = await _info(wanted, context)
        if actual != wanted:
            _logger.warning("%s was renamed to %s, which is brought", wanted.repository, actual.repository)
        pinned = actual.at(info.sha)
        files = await _files(pinned, context)
        manifest = manifest_of(pinned, files, endpoint, licence=info.license, task=info.task, info=info)
        await context.remember({_key(name, endpoint) for name in (wanted, wanted.at(info.sha), pinned)}, manifest)
        return manifest


def _hub_name(endpoint: str) -> str:
    return "huggingface" if endpoint == _HUGGING_FACE else endpoint.partition("://")[2]


def _key(reference: HuggingFaceReference, endpoint: str) -> str:
    return f"{reference} of {endpoint}"


async def _info(wanted: HuggingFaceReference, context: SourceContext) -> tuple[Info, HuggingFaceReference]:
    """Return the hub's description of a repository, and its name there."""
    url = f"{context.config.hf_endpoint}/api/{wanted.kind}/{wanted.name}/revision/{quote(wanted.revision, safe='')}"
    response = await context.get(url, max_size=_MAX_INFO)
    _refuse_unless_answered(response, wanted, url, context)
    reading = partial(parsed, _INFO, response, url=url, what="description of a repository")
    info = reading() if len(response.body) <= _SMALL else await asyncio.to_thread(reading)
    return info, described_by(info, wanted, response, url=url)


async def _files(pinned: HuggingFaceReference, context: SourceContext) -> tuple[ManifestFileSchema, ...]:
    endpoint = context.config.hf_endpoint
    url = f"{endpoint}/api/{pinned.kind}/{pinned.name}/tree/{pinned.revision}?recursive=true&expand=false"
    base = f"{endpoint}/{pinned.repository}/resolve/{pinned.revision}"
    files: dict[str, ManifestFileSchema] = {}
    count = 0
    async for page in context.pages(url):
        _refuse_unless_answered(page, pinned, url, context)
        # In a thread: a page may have 16 MiB.
        count += await asyncio.to_thread(_add, files, page, base, url=url, most=MAX_ENTRIES - count)
        if count > MAX_ENTRIES:
            reason = f"has over {MAX_ENTRIES} files and directories; fetch some by their https:// addresses"
            raise InvalidSourceException(str(pinned), reason)
    if not files:
        raise InvalidSourceException(str(pinned), "has no files; choose another revision")
    return tuple(files.values())


def _refuse_unless_answered(
    response: "ResponseSchema", wanted: HuggingFaceReference, url: str, context: SourceContext
) -> None:
    page = f"{context.config.hf_endpoint}/{wanted.repository}"
    raise_for_status(response, wanted, url=url, page=page, authenticated=context.config.hf_token is not None)


def _add(files: dict[str, ManifestFileSchema], page: "ResponseSchema", base: str, *, url: str, most: int) -> int:
    """Add the files of a page, within the limit of entries, and return their number. Blocks."""
    entries = parsed_list(_TREE, page, url=url, what="listing of files", most=most)
    try:
        for entry in entries if len(entries) <= most else ():
            if entry["type"] == "file":
                path = check_path(entry["path"])
                if path in files:
                    raise InvalidAnswerException(url=redact_text(url), reason=f"lists {path!a} twice")
                files[path] = _file(entry, path, base)
    except InvalidInputException as error:
        raise InvalidAnswerException(url=redact_text(url), reason=f"lists what cannot be kept: {error}") from error
    return len(entries)


def _file(entry: _Entry, path: str, base: str) -> ManifestFileSchema:
    """Return the file of an entry, in which everything but the digest was checked."""
    lfs = entry.get("lfs")
    fields: dict[str, object] = {
        "path": path,
        "url": f"{base}/{path if _UNQUOTED.fullmatch(path) else quote(path, errors='surrogatepass')}",
        "size": entry.get("size", 0) if lfs is None else lfs["size"],
        "sha256": None if lfs is None else check_sha256(lfs["oid"]),
        # What Xet has chunked is no blob of git's; by its plain route it comes whole all the same.
        "git_blob_id": entry.get("oid") if lfs is None and entry.get("xetHash") is None else None,
        "etag": None,
        "inside": None,
    }
    return constructed(ManifestFileSchema, fields, _FIELDS)


def manifest_of(
    pinned: HuggingFaceReference,
    files: tuple[ManifestFileSchema, ...],
    endpoint: str,
    *,
    licence: str | None,
    task: str | None,
    info: Info | None = None,
) -> ManifestSchema:
    """Return the manifest of a repository at a commit, with the hub's description if there is one."""
    return ManifestSchema(
        source=str(pinned),
        name=suggested(pinned.name),
        files=files,
        revision=pinned.revision,
        repository=pinned.repository,
        hub=_hub_name(endpoint),
        author=(info and info.author) or pinned.name.rpartition("/")[0] or None,
        license=licence,
        task=task,
        tags=info.tags if info else (),
        gated=info is not None and info.is_gated,
        private=info is not None and info.private,
        page=f"{endpoint}/{pinned.repository}",
    )
