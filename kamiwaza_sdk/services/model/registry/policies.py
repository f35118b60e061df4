"""What a policy said of a version, as it is kept with it, and what it means for others of the same files."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import JsonValue
from pydantic_core import to_json
from sqlalchemy import Row

from kamiwaza_sdk.services.model.registry.files import FAILED_FILES
from kamiwaza_sdk.services.model.schemas.version import POLICY, CreateFile, ModelFileSchema, ModelVersionSchema
from kamiwaza_sdk.services.model.session import Scope

if TYPE_CHECKING:
    from kamiwaza_sdk.services.hub.exceptions import PolicyViolationException
    from kamiwaza_sdk.services.hub.schemas.policy import ObjectionSchema

__all__ = ["POLICY", "Failure", "earlier_failure", "objections_of", "refusal", "verdict"]

#: How many objections are kept; that there are more is noted.
_MOST_KEPT: Final = 100
_LONGEST_REASON: Final = 500


def verdict(objections: "Sequence[ObjectionSchema]", *, forced: bool = False) -> dict[str, JsonValue]:
    """Return a verdict as JSON: nothing against the version, or what."""
    kept: list[JsonValue] = [
        {"rule": one.rule, "path": one.path, "reason": _plain(one.reason), "kind": one.kind}
        for one in objections[:_MOST_KEPT]
    ]
    said: dict[str, JsonValue] = {"passed": not objections, "objections": kept}
    if len(objections) > len(kept):
        said["more"] = len(objections) - len(kept)
    return said | {"forced": True} if forced and objections else said


def _plain(text: str) -> str:
    """Return a text that every database can hold."""
    return "".join(character if character.isprintable() else "?" for character in text)[:_LONGEST_REASON]


class Failure(NamedTuple):
    """A version that failed, and what was said of it.

    Attributes:
        subject: The version, as a reference.
        objections: Everything against it.
    """

    subject: str
    objections: "tuple[ObjectionSchema, ...]"

    def refusal(self, way_out: str) -> "PolicyViolationException":
        """Return the error that says so."""
        from kamiwaza_sdk.services.hub.exceptions import PolicyViolationException

        return PolicyViolationException(subject=self.subject, objections=self.objections, way_out=way_out)


def earlier_failure(
    scope: Scope, files: Sequence[CreateFile] | Sequence[ModelFileSchema], *, since: datetime | None = None
) -> Failure | None:
    """Return a failed version of this namespace whose verdict holds for these files too, under whatever names.

    One that is about a file holds for every version with that content; one that is about the whole holds for all that
    have all its files. Failures before `since` do not count.
    """
    paths = {file.path for file in files}
    rows = scope.execute(FAILED_FILES, _digests=to_json(sorted({file.sha256 for file in files})).decode()).all()
    for _, group in groupby(rows, key=attrgetter("version_id")):
        shared = list(group)
        if since is not None and shared[0].created_at < since:
            continue
        objections = _objections_in(shared[0].details)
        if objections and _holds(shared, objections, paths):
            return Failure(f"{shared[0].name}:{shared[0].number}", objections)
    return None


def _holds(shared: Sequence[Row[Any]], objections: "Sequence[ObjectionSchema]", paths: set[str]) -> bool:
    # An empty file is at fault for what it is called.
    same = {row.path for row in shared if row.size or row.path in paths}
    has_all = sum(row.size for row in shared) == shared[0].version_size and any(row.path in same for row in shared)
    return has_all or any(objection.path in same for objection in objections)


def objections_of(version: ModelVersionSchema) -> "tuple[ObjectionSchema, ...]":
    """Return what a policy has against a version, as it is kept with it."""
    return _objections_in(version.details)


def _objections_in(details: Mapping[str, JsonValue]) -> "tuple[ObjectionSchema, ...]":
    said = details.get(POLICY)
    kept = said.get("objections") if isinstance(said, dict) else None
    return tuple(filter(None, map(_objection, kept))) if isinstance(kept, list) else ()


def _objection(value: JsonValue) -> "ObjectionSchema | None":
    """Return an objection, `None` for what is none: details are whatever callers write."""
    if not isinstance(value, dict) or not isinstance(value.get("rule"), str):
        return None
    from kamiwaza_sdk.services.hub.schemas.policy import ObjectionSchema

    path = value.get("path")
    return ObjectionSchema(
        rule=str(value["rule"]),
        reason=str(value.get("reason")),
        path=path if isinstance(path, str) else None,
        kind="unreadable" if value.get("kind") == "unreadable" else "bad",
    )


def refusal(version: ModelVersionSchema, way_out: str) -> "PolicyViolationException":
    """Return the error that says what a policy has against a version."""
    return Failure(f"{version.model_name}:{version.number}", objections_of(version)).refusal(way_out)
