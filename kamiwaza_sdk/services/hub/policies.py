"""Checks a policy: on what is announced, and on the bytes."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from kamiwaza_sdk.formats.schemas import PickleVerdict
from kamiwaza_sdk.services.hub.addresses import is_address, redacted
from kamiwaza_sdk.services.hub.schemas.policy import VERDICTS, ObjectionSchema, Policy

__all__ = ["Known", "Subject", "objections_to"]

_HUGGING_FACE: Final = "huggingface.co"
#: How the source of files of several hosts is written.
_AND_MORE: Final = re.compile(r" and \d+ more$")
_CLIMBING: Final = re.compile(r"(?:^|/)\.\.(?:/|$)")


class Known(NamedTuple):
    """What is known of a file. `None` is not known."""

    path: str
    size: int | None
    format: str | None
    verdict: PickleVerdict | None
    has_digest: bool
    problem: str | None = None


class Subject(NamedTuple):
    """What a policy is asked about.

    Attributes:
        source: Where it comes from.
        addresses: Of its files, where they are known.
        hub: The host of the hub, where its source names none.
        license: Its licence.
        files: What is known of its files.
        final: Whether nothing more will be known: then what is not known is an objection.
    """

    source: str
    addresses: Sequence[str]
    hub: str | None
    license: str | None
    files: Sequence[Known]
    final: bool


class _Rule(Protocol):
    def __call__(self, policy: Policy, subject: Subject) -> Iterator[ObjectionSchema]: ...


def objections_to(subject: Subject, policy: Policy) -> tuple[ObjectionSchema, ...]:
    """Return everything that a policy has against a model; nothing where it has nothing."""
    return tuple(objection for rule in _RULES for objection in rule(policy, subject))


def _formats(policy: Policy, subject: Subject) -> Iterator[ObjectionSchema]:
    if policy.formats is None:
        return
    for file in subject.files:
        if file.format is not None and file.format not in policy.formats:
            yield ObjectionSchema(rule="formats", path=file.path, reason=f"is {file.format}")
        elif subject.final and file.problem is not None:
            yield ObjectionSchema(rule="formats", path=file.path, reason=f"cannot be checked: {file.problem}")


def _pickles(policy: Policy, subject: Subject) -> Iterator[ObjectionSchema]:
    if policy.worst_pickle is None:
        return
    for file in subject.files:
        if file.verdict is not None and VERDICTS.index(file.verdict) > VERDICTS.index(policy.worst_pickle):
            yield ObjectionSchema(rule="worst_pickle", path=file.path, reason=f"is a pickle found {file.verdict}")
        elif subject.final and file.verdict is None and (file.format == "pickle" or file.problem is not None):
            reason = f"cannot be checked: {file.problem or 'nothing is known of its inside'}"
            yield ObjectionSchema(rule="worst_pickle", path=file.path, reason=reason)


def _licences(policy: Policy, subject: Subject) -> Iterator[ObjectionSchema]:
    if policy.licenses is None or (subject.license or "").lower() in policy.licenses:
        return
    reason = "has no known licence" if subject.license is None else f"has the licence {subject.license}"
    yield ObjectionSchema(rule="licenses", reason=reason)


def _sizes(policy: Policy, subject: Subject) -> Iterator[ObjectionSchema]:
    size = sum(file.size or 0 for file in subject.files)
    if policy.max_size is not None and size > policy.max_size:
        yield ObjectionSchema(rule="max_size", reason=f"has {size} bytes, over the limit of {policy.max_size}")


def _digests(policy: Policy, subject: Subject) -> Iterator[ObjectionSchema]:
    if policy.needs_digests:
        for file in subject.files:
            if not file.has_digest:
                yield ObjectionSchema(rule="needs_digests", path=file.path, reason="has no digest known beforehand")


def _sources(policy: Policy, subject: Subject) -> Iterator[ObjectionSchema]:
    if policy.sources is None:
        return
    if any(_begins(subject.source, entry) for entry in policy.sources if "/" in entry):
        return
    hosts = [entry.lower() for entry in policy.sources if "/" not in entry]
    found = _hosts(subject)
    if found and all(any(fnmatchcase(host, entry) for entry in hosts) for host in found):
        return
    yield ObjectionSchema(rule="sources", reason=f"comes from {redacted(subject.source)}")


def _begins(source: str, entry: str) -> bool:
    """Whether a source is what an entry names, or below it: ``hf://org`` does not begin ``hf://organisation/x``."""
    if _CLIMBING.search(unquote(source)) or _AND_MORE.search(source):
        return False
    rest = source.removeprefix(entry)
    return rest != source and (not rest or entry.endswith("/") or rest[0] in "/@")


def _hosts(subject: Subject) -> set[str]:
    """Return which hosts files come from; none where that cannot be told."""
    if subject.addresses:
        return {_host(address) for address in subject.addresses}
    if _AND_MORE.search(subject.source):
        return set()
    if is_address(subject.source) and not subject.source.startswith("hf:"):
        return {_host(subject.source)}
    if subject.hub is not None:
        return {_HUGGING_FACE if subject.hub == "huggingface" else subject.hub.partition("/")[0].partition(":")[0]}
    return set() if is_address(subject.source) else {"localhost"}


def _host(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:  # no host can be told, so that none is allowed
        return ""
    return "localhost" if parts.scheme == "file" else (parts.hostname or "")


_RULES: Final[tuple[_Rule, ...]] = (_sources, _licences, _formats, _pickles, _sizes, _digests)
