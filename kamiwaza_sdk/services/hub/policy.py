"""Checks a model against a policy: before it is fetched, by what is announced, and then by its bytes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from kamiwaza_sdk.formats.licences import has_one_text
from kamiwaza_sdk.formats.schemas import PickleVerdict
from kamiwaza_sdk.services.hub.addresses import is_address, redacted
from kamiwaza_sdk.services.hub.details import license_of, places_of
from kamiwaza_sdk.services.hub.inspection import Findings, inspect_here
from kamiwaza_sdk.services.hub.schemas.policy import CONTENT, VERDICTS, Policy, ViolationSchema
from kamiwaza_sdk.services.hub.schemas.results import Fetched
from kamiwaza_sdk.services.hub.sources.ollama import DEFAULT_HOST
from kamiwaza_sdk.services.storage.services import StorageService

#: The hosts of hubs that are known by another name.
_HUBS: Final = {"huggingface": "huggingface.co", "ollama": DEFAULT_HOST}
#: Longer than any expression that the registry keeps.
_LONGEST_EXPRESSION: Final = 1000
#: How many texts of licences a violation names.
_MOST_NAMED: Final = 3
#: How the source of files of several hosts is written.
_AND_MORE: Final = re.compile(r" and \d+ more$")
_CLIMBING: Final = re.compile(r"(?:^|/)\.\.(?:/|$)")


class FileFacts(NamedTuple):
    """The facts of a file that rules are about. `None` is unknown; for `unread`, that no part was skipped."""

    path: str
    size: int | None
    format: str | None
    verdict: PickleVerdict | None
    has_digest: bool
    problem: str | None = None
    unread: str | None = None
    outside: str | None = None


class Subject(NamedTuple):
    """The facts of a model that rules are about.

    Attributes:
        source: Where it comes from.
        addresses: Of its files, where they are known.
        hub: The host of the hub, where its source names none.
        license: Its licence, or an expression of several.
        files: The facts of its files.
        remote_code: The code that it brings or names, by file; `None` for a file that could not be read.
        final: Whether nothing more will be known: then an unknown fact is a violation.
        unknown_licences: Files with the name of a licence and an unknown text.
    """

    source: str
    addresses: Sequence[str]
    hub: str | None
    license: str | None
    files: Sequence[FileFacts]
    final: bool
    remote_code: "Mapping[str, str | None]" = MappingProxyType({})
    unknown_licences: Sequence[str] = ()


def facts_of(
    findings: Findings,
    path: str,
    size: int | None,
    *,
    known_format: str | None,
    has_digest: bool,
    problem: str | None = None,
) -> FileFacts:
    """Return the facts of a file."""
    return FileFacts(
        path,
        size,
        known_format,
        findings.verdict(path),
        has_digest,
        problem or findings.problems.get(path),
        findings.unread(path),
        findings.outside(path),
    )


def subject_of(
    findings: Findings,
    files: Sequence[FileFacts],
    *,
    source: str,
    addresses: Sequence[str] = (),
    hub: str | None,
    licence: str | None,
    final: bool,
) -> Subject:
    """Return the facts of a model."""
    return Subject(
        source=source,
        addresses=addresses,
        hub=hub,
        license=licence,
        files=files,
        final=final,
        remote_code=findings.remote_code(),
        unknown_licences=findings.unknown_licences([file.path for file in files], final=final),
    )


def check_fetched(fetched: Fetched, policy: Policy, storage: StorageService) -> tuple[ViolationSchema, ...]:
    """Return the violations of a policy by files in the store, according to their bytes. Blocks."""
    places = places_of(fetched, storage, [file.path for file in fetched.files])
    findings = inspect_here(places)
    files = [
        facts_of(
            findings,
            file.path,
            file.size,
            known_format=findings.known_format(file.path),
            has_digest=fetched.digests_known,
            problem=None if file.path in places else "it is not in this store",
        )
        for file in fetched.files
    ]
    licence = license_of(fetched, findings)
    subject = subject_of(findings, files, source=fetched.source, hub=fetched.hub, licence=licence, final=True)
    return violations_of(subject, policy)


class _Rule(Protocol):
    def __call__(self, policy: Policy, subject: Subject) -> Iterator[ViolationSchema]: ...


def violations_of(subject: Subject, policy: Policy) -> tuple[ViolationSchema, ...]:
    """Return all violations of a policy by a model."""
    return tuple(violation for rule in _RULES for violation in rule(policy, subject))


def _formats(policy: Policy, subject: Subject) -> Iterator[ViolationSchema]:
    if policy.formats is None:
        return
    for file in subject.files:
        if file.format is not None and file.format not in policy.formats:
            yield _bad("formats", file, f"is {file.format}")
        elif subject.final and file.problem is not None:
            yield _unreadable("formats", file, file.problem)


def _pickles(policy: Policy, subject: Subject) -> Iterator[ViolationSchema]:
    if policy.worst_pickle is None:
        return
    for file in subject.files:
        if file.verdict is not None and VERDICTS.index(file.verdict) > VERDICTS.index(policy.worst_pickle):
            what = "a pickle" if file.format == "pickle" else file.format or "a file with pickles"
            yield _bad("worst_pickle", file, f"is {what} found {file.verdict}")
        elif subject.final and file.unread is not None:
            yield _unreadable("worst_pickle", file, file.unread)
        elif subject.final and file.verdict is None and (file.format == "pickle" or file.problem is not None):
            yield _unreadable("worst_pickle", file, file.problem or "nothing is known of its inside")


def _contents(policy: Policy, subject: Subject) -> Iterator[ViolationSchema]:
    for file in subject.files:
        if file.outside is not None:
            yield _bad(CONTENT, file, f"is not whole: {file.outside}")


def _bad(rule: str, file: FileFacts, reason: str) -> ViolationSchema:
    return ViolationSchema(rule=rule, path=file.path, reason=reason)


def _unreadable(rule: str, file: FileFacts, problem: str) -> ViolationSchema:
    return ViolationSchema(rule=rule, path=file.path, reason=f"cannot be checked: {problem}", kind="unreadable")


def _remote_code(policy: Policy, subject: Subject) -> Iterator[ViolationSchema]:
    if policy.remote_code is not False:
        return
    for path, what in subject.remote_code.items():
        if what is not None:
            yield ViolationSchema(rule="remote_code", path=path, reason=what)
        elif subject.final:
            reason = "cannot be checked: it is no JSON that could be read"
            yield ViolationSchema(rule="remote_code", path=path, reason=reason, kind="unreadable")


def _licences(policy: Policy, subject: Subject) -> Iterator[ViolationSchema]:
    if policy.licenses is None:
        return
    if subject.license is None:
        yield ViolationSchema(rule="licenses", reason="has no known licence", kind="unreadable")
    elif not _allows(policy.licenses, subject.license):
        yield ViolationSchema(rule="licenses", reason=f"has the licence {subject.license}")
    elif subject.unknown_licences and not _covers_own_text(policy.licenses, subject.license):
        where = ", ".join(subject.unknown_licences[:_MOST_NAMED])
        reason = f"has the licence {subject.license}, and a text that is none that is known: {where}"
        yield ViolationSchema(rule="licenses", reason=reason, kind="unreadable")


def _allows(allowed: Sequence[str], licence: str) -> bool:
    """Whether a licence is allowed: of AND and of a list all have to be, of OR one, and WITH only as it is written."""
    if licence.lower() in allowed:  # names of hubs, which need not be those of SPDX: openrail++
        return True
    if "," in licence and len(licence) <= _LONGEST_EXPRESSION:
        return all(_allows(allowed, one.strip()) for one in licence.split(","))
    expression = _parsed(licence)
    return expression is not None and _is_allowed(allowed, expression)


def _parsed(licence: str) -> Any:  # Any: it has no types
    """Return an expression; `None` where it is none."""
    if not 0 < len(licence) <= _LONGEST_EXPRESSION:
        return None
    from license_expression import (  # type: ignore[import-untyped]  # it has no types
        ExpressionError,
        ExpressionParseError,
        Licensing,
    )

    try:
        return Licensing().parse(licence)
    except (ExpressionError, ExpressionParseError):
        return None


def _is_allowed(allowed: Sequence[str], expression: Any) -> bool:  # Any: it has no types
    operator = (getattr(expression, "operator", None) or "").strip()
    if not operator:
        return str(expression).lower() in allowed
    one = (_is_allowed(allowed, argument) for argument in expression.args)
    return all(one) if operator == "AND" else any(one)


def _covers_own_text(allowed: Sequence[str], licence: str) -> bool:
    """Whether one of the licences named is allowed and has no text that is known: one that is not known may be its."""
    named = {licence} | set(licence.split(","))
    for one in [name for name in named if name.lower().strip() not in allowed]:
        expression = _parsed(one)
        named |= set() if expression is None else set(map(str, _operands(expression)))
    return any(name.lower().strip() in allowed and not has_one_text(name.strip()) for name in named)


def _operands(expression: Any) -> Iterator[Any]:  # Any: it has no types
    if not (getattr(expression, "operator", None) or "").strip():
        yield expression
        return
    for argument in expression.args:
        yield from _operands(argument)


def _sizes(policy: Policy, subject: Subject) -> Iterator[ViolationSchema]:
    size = sum(file.size or 0 for file in subject.files)
    if policy.max_size is not None and size > policy.max_size:
        yield ViolationSchema(rule="max_size", reason=f"has {size} bytes, over the limit of {policy.max_size}")


def _digests(policy: Policy, subject: Subject) -> Iterator[ViolationSchema]:
    if policy.needs_digests:
        for file in subject.files:
            if not file.has_digest:
                yield ViolationSchema(rule="needs_digests", path=file.path, reason="has no digest known beforehand")


def _sources(policy: Policy, subject: Subject) -> Iterator[ViolationSchema]:
    if policy.sources is None:
        return
    if any(_begins(subject.source, entry) for entry in policy.sources if "/" in entry):
        return
    hosts = [entry.lower() for entry in policy.sources if "/" not in entry]
    found = _hosts(subject)
    if found and all(host is not None and any(fnmatchcase(host, entry) for entry in hosts) for host in found):
        return
    yield ViolationSchema(rule="sources", reason=f"comes from {redacted(subject.source)}")


def _begins(source: str, entry: str) -> bool:
    """Whether a source is what an entry names, or below it: ``hf://org`` does not begin ``hf://organisation/x``."""
    if _CLIMBING.search(unquote(source)) or _AND_MORE.search(source):
        return False
    rest = source.removeprefix(entry)
    return rest != source and (not rest or entry.endswith("/") or rest[0] in "/@")


def _hosts(subject: Subject) -> set[str | None]:
    """Return which hosts files come from: `None` for one that cannot be told, or where no host is."""
    if subject.addresses:
        return {_host(address) for address in subject.addresses}
    if _AND_MORE.search(subject.source):
        return {None}
    if not is_address(subject.source) and subject.hub is None:
        return {"localhost"}
    return {_host(subject.source) or _host_of_hub(subject.hub)}


def _host(address: str) -> str | None:
    """Return the host of an address; the name of a bucket, a repository or an image is none, whatever it looks like."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    if parts.scheme == "file":
        return "localhost"
    return parts.hostname if parts.scheme in {"http", "https"} else None


def _host_of_hub(hub: str | None) -> str | None:
    return None if hub is None else _HUBS.get(hub) or hub.partition("/")[0].partition(":")[0]


_RULES: Final[tuple[_Rule, ...]] = (
    *(_sources, _licences, _formats, _contents, _pickles, _remote_code, _sizes, _digests),
)
