"""Errors of sources and hubs. The whole tree is drawn in `kamiwaza_sdk.exceptions`."""

from collections.abc import Mapping, Sequence
from typing import Final

from kamiwaza_sdk._display import shown_size
from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import InvalidInputException, NotFoundException, ServiceException
from kamiwaza_sdk.services.hub.schemas.policy import ViolationSchema, shown_violations

_MOST_SHOWN: Final = 5
_TOKEN: Final = "HUB_SERVICE_HF_TOKEN"  # noqa: S105 - a variable's name


class InvalidSourceException(InvalidInputException):
    """The address is not a source of files.

    Attributes:
        source: The wrong part, without credentials or query.
        suggestion: An address to try instead, such as ``hf://org/name``; `None` if none is known.
    """

    def __init__(self, source: str, reason: str, *, suggestion: str | None = None) -> None:
        super().__init__("source", f"{shown(source, limit=200)} {reason}")
        self.source = source
        self.suggestion = suggestion


class ModelTooLargeException(ServiceException):
    """The files of a source, or of a model, have more bytes than the limit. Nothing was registered.

    If the source tells sizes, nothing was transferred; otherwise, the files that were fetched stay in the store.

    Attributes:
        source: Their address, without credentials or query; `None` if a model was to be registered.
        name: The model's name; `None` if a source was to be fetched.
        size: The number of bytes that were counted.
        limit: The largest number that is allowed.
    """

    def __init__(self, *, size: int, limit: int, source: str | None = None, name: str | None = None) -> None:
        super().__init__(
            f"Model {name!r} has {size} bytes, over the limit of {limit}; "
            f"set MODEL_SERVICE_MAX_MODEL_SIZE to {size} or more"
            if source is None
            else f"{shown(source, limit=200)} has {size} bytes or more, over the limit of {limit}; "
            f"set max_size, or for pull_model() MODEL_SERVICE_MAX_MODEL_SIZE, to {size} or more"
        )
        self.source = source
        self.name = name
        self.size = size
        self.limit = limit


class SourceEntryPointException(ServiceException):
    """An installed package that declares a source cannot be used.

    Attributes:
        scheme: The scheme of the address.
        entry_points: The wrong entry points of the group ``kamiwaza_sdk.sources``, each as ``name = module:class``.
        reason: What is wrong with them.
    """

    def __init__(self, *, scheme: str, entry_points: Sequence[str], reason: str) -> None:
        named = ", ".join(shown(point, limit=200) for point in entry_points)
        super().__init__(
            f"no source for {scheme}:// because the entry point {named} of kamiwaza_sdk.sources {reason}; "
            "repair or uninstall the package that it belongs to"
        )
        self.scheme = scheme
        self.entry_points: tuple[str, ...] = tuple(entry_points)
        self.reason = reason


class NothingFitsException(ServiceException):
    """No variant of a source fits in the given memory.

    Attributes:
        source: The source, without credentials or query.
        limit: The given memory, in bytes.
        needed: The memory that each variant needs, in bytes, by its name.
        context_length: The length of the context in the estimate, in tokens; 0 if its cache is not known.
        longest_context: The longest context with which the smallest variant fits; `None` if there is none, or it is not
            known.
    """

    def __init__(
        self,
        *,
        source: str,
        limit: int,
        needed: Mapping[str, int],
        context_length: int,
        longest_context: int | None = None,
    ) -> None:
        name = min(needed, key=lambda one: needed[one])
        shorter = f", ask for a context of at most {longest_context:,} tokens" if longest_context else ""
        context = f" with a context of {context_length:,} tokens" if context_length else ""
        super().__init__(
            f"nothing of {shown(source, limit=200)} fits in {_bytes(limit)}{context}; "
            f"the smallest, {shown(name)}, takes {_bytes(needed[name])}: give that much{shorter}, or another source"
        )
        self.source = source
        self.limit = limit
        self.needed: dict[str, int] = dict(needed)
        self.context_length = context_length
        self.longest_context = longest_context


def _bytes(size: int) -> str:
    return f"{shown_size(size)} ({size:,} bytes)"


class PolicyViolationException(ServiceException):
    """A model violates a policy.

    Attributes:
        subject: The model, or its source.
        violations: All violations, with file, rule and reason.
    """

    def __init__(self, *, subject: str, violations: Sequence[ViolationSchema], way_out: str) -> None:
        super().__init__(
            f"{shown(subject, limit=200)} is against the policy: {shown_violations(violations)}; {way_out}"
        )
        self.subject = subject
        self.violations: tuple[ViolationSchema, ...] = tuple(violations)


class HubException(ServiceException):
    """A hub does not send what was requested."""


class GitBlobMismatchException(HubException):
    """The bytes do not have the git blob id in the hub's listing. Nothing was stored.

    Attributes:
        url: Their address, without credentials or query.
        expected: The id in the listing.
        actual: The id of the received bytes.
    """

    def __init__(self, *, url: str, expected: str, actual: str) -> None:
        super().__init__(
            f"{shown(url, limit=200)} is the git blob {actual}, not {expected} as its hub lists it; it changed or "
            "was tampered with on its way: fetch it again, or from the hub itself where there is a proxy between"
        )
        self.url = url
        self.expected = expected
        self.actual = actual


class InvalidAnswerException(HubException):
    """A hub's answer cannot be used: invalid or incomplete JSON, another repository, paths that no file can have.

    Attributes:
        url: The requested URL, without credentials or query.
        reason: What is wrong with the answer.
    """

    def __init__(self, *, url: str, reason: str) -> None:
        super().__init__(
            f"the answer to {shown(url, limit=200)} {reason}; check the endpoint "
            "(HUB_SERVICE_HF_ENDPOINT for hf://, HUB_SERVICE_OLLAMA_ENDPOINT for ollama://)"
        )
        self.url = url
        self.reason = reason


class NotInCacheException(HubException, NotFoundException):
    """The model to adopt is not in the other tool's cache, or not completely.

    Attributes:
        source: The wanted address.
        cache: The cache that was searched.
        reason: What is missing.
    """

    def __init__(self, *, source: str, cache: str, reason: str) -> None:
        super().__init__(
            f"{shown(source, limit=200)} is not in {shown(cache, limit=200)}: {reason}; fetch() it instead, let its "
            "tool finish, or say with cache= where it lies"
        )
        self.source = source
        self.cache = cache
        self.reason = reason


class ObjectStorageException(HubException):
    """An object storage (S3, Google Cloud Storage, Azure) does not send what was requested.

    Attributes:
        source: The bucket, and the prefix or key in it.
        kind: The name of the error in ``obstore``: ``FileNotFoundError``, ``PermissionDeniedError``,
            ``UnauthenticatedError``, ``PreconditionError`` if an object has changed since it was listed,
            ``GenericError`` for most others.
        reason: Its message, without signatures.
        key: The object that cannot be read by its key; otherwise `None`.
    """

    def __init__(self, *, source: str, kind: str, reason: str, key: str | None = None) -> None:
        super().__init__(
            f"{shown(source, limit=200)} cannot be had ({kind}: {shown(reason, limit=400)}); check its name, and the "
            "credentials, region and endpoint in the environment (AWS_…, GOOGLE_…, AZURE_…)"
        )
        self.source = source
        self.kind = kind
        self.reason = reason
        self.key = key


class OfflineException(HubException):
    """The wanted files are not in the store, and no connection may be opened.

    Attributes:
        source: The wanted address, without credentials or query.
        missing: Paths of the files that are not in the store; empty if the list of files is not known.
    """

    def __init__(self, *, source: str, missing: Sequence[str] = ()) -> None:
        more = f" and {len(missing) - _MOST_SHOWN} more" if len(missing) > _MOST_SHOWN else ""
        named = ", ".join(shown(path) for path in missing[:_MOST_SHOWN])
        what = f"the files {named}{more} of {shown(source, limit=200)}" if missing else shown(source, limit=200)
        super().__init__(
            f"not kept here, and offline: {what}; fetch it once with a connection, "
            "or unset HUB_SERVICE_OFFLINE (and HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE)"
        )
        self.source = source
        self.missing: tuple[str, ...] = tuple(missing)


class RepositoryNotFoundException(HubException, NotFoundException):
    """A hub has no such repository, or does not show it to this caller.

    Attributes:
        repository: The repository's name.
        url: The requested URL, without credentials or query.
    """

    def __init__(self, *, repository: str, url: str) -> None:
        super().__init__(
            f"{shown(repository)} is not at {shown(url, limit=200)}, or not for this token to see; check the name, "
            f"and for hf:// whether it is a model, hf://datasets/… or hf://spaces/…, and what {_TOKEN} may read"
        )
        self.repository = repository
        self.url = url


class RepositoryAccessException(HubException):
    """A hub does not show a repository to this caller: it is private, or its conditions were not accepted.

    Without permission, hubs do not tell whether a repository is private or missing.

    Attributes:
        repository: The repository's name.
        url: The requested URL, without credentials or query; for a gated repository, the page of its conditions.
        authenticated: Whether a token was sent. If so, its owner has no access.
        gated: Whether the repository's conditions must be accepted; `False` if it is private or does not exist.
    """

    def __init__(self, *, repository: str, url: str, authenticated: bool, gated: bool) -> None:
        if gated:
            then = f"as the owner of {_TOKEN}" if authenticated else f"and ask with a token of that account: {_TOKEN}"
            message = f"{shown(repository)} is gated; accept its conditions at {shown(url, limit=200)}, {then}"
        else:
            token = f"check that the token in {_TOKEN} is valid and may read it"
            then = token if authenticated else f"set {_TOKEN} to a token"
            where = f"{shown(repository)} at {shown(url, limit=200)}"
            message = f"{where} is private, or does not exist; check the name, and {then}"
        super().__init__(message)
        self.repository = repository
        self.url = url
        self.authenticated = authenticated
        self.gated = gated


class RepositoryRenamedException(HubException):
    """A repository has become one of another kind. If only its name has changed, the new name is followed.

    Attributes:
        repository: The wanted name.
        renamed_to: The new name, with its kind before it.
    """

    def __init__(self, *, repository: str, renamed_to: str) -> None:
        super().__init__(f"{shown(repository)} was renamed; ask for {shown(f'hf://{renamed_to}')}")
        self.repository = repository
        self.renamed_to = renamed_to


class RevisionNotFoundException(HubException, NotFoundException):
    """A repository has no such branch, tag or commit.

    Attributes:
        repository: The repository's name.
        revision: The wanted revision.
    """

    def __init__(self, *, repository: str, revision: str) -> None:
        super().__init__(
            f"{shown(repository)} has no revision {shown(revision)}; name a branch, a tag, or a commit in full"
        )
        self.repository = repository
        self.revision = revision


class VersionUnavailableException(HubException):
    """Files of a registered version are not in the store, and cannot be fetched from their origin.

    Attributes:
        version: Its model's name and its number.
        missing: Paths of these files; empty if an address did not send one.
        reason: Why they cannot be fetched.
    """

    def __init__(self, *, version: str, missing: Sequence[str] = (), reason: str) -> None:
        more = f" and {len(missing) - _MOST_SHOWN} more" if len(missing) > _MOST_SHOWN else ""
        named = ", ".join(shown(path) for path in missing[:_MOST_SHOWN])
        super().__init__(
            f"{f'{named}{more} of ' if missing else ''}{shown(version, limit=200)} cannot be brought here: {reason}; "
            "fetch() from where the same files are now, with sha256= for the digests, or StorageService.add() them"
        )
        self.version = version
        self.missing: tuple[str, ...] = tuple(missing)
        self.reason = reason
