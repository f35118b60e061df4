"""What a Hugging-Face-compatible hub answers, and what its refusals mean."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk._validation import Sha256, check_text, shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.formats.licences import all_of
from kamiwaza_sdk.services.hub.exceptions import (
    InvalidAnswerException,
    RepositoryGatedException,
    RepositoryNotFoundException,
    RepositoryPrivateException,
    RepositoryRenamedException,
    RevisionNotFoundException,
)
from kamiwaza_sdk.services.hub.sources.references import HuggingFaceReference

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
    """Return one word about a repository, or `None` where it cannot be kept: people write what they like into cards."""
    if isinstance(value, list):
        value = ", ".join(item for item in value if isinstance(item, str))
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_WORD_LENGTH:
        return None
    try:
        return check_text(value)
    except InvalidInputException:
        return None


def words(value: object) -> tuple[str, ...]:
    """Return those of several words that can be kept."""
    several = value if isinstance(value, list) else []
    return tuple(filter(None, map(word, several)))[:_MAX_WORDS]


_Word = Annotated[str | None, BeforeValidator(word)]


class Described(BaseModel):
    """What the API tells of any repository."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    id: str
    author: _Word = None
    private: bool = False
    gated: object = False
    tags: Annotated[tuple[str, ...], BeforeValidator(words)] = ()
    task: _Word = Field(default=None, alias="pipeline_tag")
    card: object = Field(default=None, alias="cardData")

    @property
    def is_gated(self) -> bool:
        """Whether its files are for those who accepted its conditions: the API says ``auto`` or ``manual``."""
        return bool(self.gated)

    @property
    def license(self) -> str | None:
        """What its card says, or else the tag that the hub made of that."""
        written = self.card.get("license") if isinstance(self.card, Mapping) else None
        named = [one for one in (written if isinstance(written, list) else [written]) if isinstance(one, str)]
        return word(all_of(named)) or word(all_of(tag[8:] for tag in self.tags if tag.startswith("license:")))


class Info(Described):
    """What it tells of one at a revision."""

    sha: str = Field(pattern=r"^[0-9a-f]{40}$")


class _Lfs(BaseModel):
    oid: Sha256
    size: int = Field(ge=0)


class Entry(BaseModel):
    """A file or directory in a listing."""

    type: str
    path: str
    size: int = Field(default=0, ge=0)
    oid: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    lfs: _Lfs | None = None
    xet_hash: str | None = Field(default=None, alias="xetHash")


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
    """Raise what an answer other than 200 means: ``X-Error-Code`` says, or, at other hubs, the status alone.

    Raises:
        RepositoryGatedException: Its conditions were not accepted.
        RepositoryPrivateException: 401, or 403: the hub does not say whether there is such a repository.
        RepositoryNotFoundException: 404: there is none, or not for this token.
        RevisionNotFoundException: It has no such branch, tag or commit.
        InvalidAnswerException: It is anything else.
    """
    if response.status == _OK:
        return
    code = response.headers.get("x-error-code")
    plain = redact_text(url)
    if code == "GatedRepo":
        raise RepositoryGatedException(repository=wanted.repository, url=page, authenticated=authenticated)
    if response.status in _REFUSED:
        raise RepositoryPrivateException(repository=wanted.repository, url=plain, authenticated=authenticated)
    if code in {"RevisionNotFound", "EntryNotFound"}:
        raise RevisionNotFoundException(repository=wanted.repository, revision=wanted.revision)
    if response.status == _NOT_FOUND:
        raise RepositoryNotFoundException(repository=wanted.repository, url=plain)
    raise InvalidAnswerException(url=plain, reason=f"has the status {response.status}")


def described_by(
    info: Info, wanted: HuggingFaceReference, response: "ResponseSchema", *, url: str
) -> HuggingFaceReference:
    """Return what is described: what was asked for, or, where the hub redirected to it, by the name it has by now.

    Hubs do not tell upper from lower case in names.

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
