"""What a policy said of a version, as it is kept with it."""

from typing import TYPE_CHECKING, Final

from pydantic import JsonValue

from kamiwaza_sdk.services.model.schemas.version import ModelVersionSchema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kamiwaza_sdk.services.hub.exceptions import PolicyViolationException
    from kamiwaza_sdk.services.hub.schemas.policy import ObjectionSchema

__all__ = ["POLICY", "objections_of", "refusal", "verdict"]

#: Where in a version's details the verdict is.
POLICY: Final = "policy"
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


def objections_of(version: ModelVersionSchema) -> "tuple[ObjectionSchema, ...]":
    """Return what a policy has against a version, as it is kept with it."""
    said = version.details.get(POLICY)
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
    from kamiwaza_sdk.services.hub.exceptions import PolicyViolationException

    subject = f"{version.model_name}:{version.number}"
    return PolicyViolationException(subject=subject, objections=objections_of(version), way_out=way_out)
