"""Reference strings (``name``, ``name:3``, ``name:v1.5``, ``name@production``) and the versions they resolve to."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Row

from kamiwaza_sdk._validation import check_label, check_name, check_text, shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.exceptions import AliasNotFoundException, VersionNotFoundException
from kamiwaza_sdk.services.model.registry import aliases, files, models, versions
from kamiwaza_sdk.services.model.schemas.version import ModelVersionSchema
from kamiwaza_sdk.services.model.session import MAX_NUMBER, Scope


@dataclass(frozen=True, slots=True)
class Reference:
    """What a reference string names: at most one of version and alias; neither means the latest version."""

    name: str
    version: str | None = None
    alias: str | None = None


def parse_reference(reference: str) -> Reference:
    """Take a reference string apart.

    Args:
        reference: ``name``, ``name:version`` with a number or a label, or ``name@alias``.

    Raises:
        InvalidInputException: It has none of these forms.

    Example:
        >>> parse_reference("org/minilm:3")
        Reference(name='org/minilm', version='3', alias=None)
    """
    check_text(reference, field="reference")
    name, at, alias = reference.partition("@")
    name, colon, version = name.partition(":")
    if at and colon:
        raise _invalid(reference, "has both a version and an alias; give one of them")
    try:
        return Reference(
            name=check_name(name),
            version=check_label(version) if colon else None,
            alias=check_label(alias) if at else None,
        )
    except InvalidInputException as error:
        raise _invalid(reference, f"is no reference: its {error}") from error


def _invalid(reference: str, reason: str) -> InvalidInputException:
    return InvalidInputException("reference", f"{shown(reference)} {reason}", value=reference)


#: The alias that every model has.
_LATEST: Final = "latest"


def resolve(scope: Scope, reference: str, *, at: datetime | None) -> ModelVersionSchema:
    """Return the version that a reference string names, or named at a moment."""
    parsed = parse_reference(reference)
    if at is not None:
        return _resolve_at(scope, reference, parsed, at)
    if (row := _find(scope, parsed)) is not None:
        return versions.schema(row)
    model = models.get_by_name(scope, parsed.name)  # raises where it is the model that is missing
    if parsed.alias not in {None, _LATEST}:
        raise AliasNotFoundException(alias=str(parsed.alias), model=model.name, namespace=scope.namespace)
    raise VersionNotFoundException(version=reference, namespace=scope.namespace, way_out=_way_out(parsed))


def _resolve_at(scope: Scope, reference: str, parsed: Reference, at: datetime) -> ModelVersionSchema:
    if not isinstance(at, datetime) or at.utcoffset() is None:
        raise InvalidInputException("at", "must be an aware datetime; datetime.now(UTC) is one")
    try:
        at = at.astimezone(UTC)
    except OverflowError as error:
        raise InvalidInputException("at", "is before the year 1 or after 9999 in UTC; give another moment") from error
    if parsed.alias in {None, _LATEST}:
        raise _invalid(reference, "names no alias that was set; only those are known at a moment")
    model = models.get_by_name(scope, parsed.name)
    return aliases.alias_at(scope, model.id, model.name, str(parsed.alias), at)


def _way_out(reference: Reference) -> str:
    if reference.version is None:
        return "the model has no version that is ready; create_version() or register() adds one"
    return "list_versions() tells which there are"


def _find(scope: Scope, reference: Reference) -> Row[Any] | None:  # Any: values of several columns
    name, label = reference.name, reference.version
    if reference.alias not in {None, _LATEST}:
        return scope.execute(files.VERSION_BY_ALIAS, _name=name, _alias=reference.alias).one_or_none()
    if label is None:
        return scope.execute(files.LATEST_VERSION, _name=name).one_or_none()
    if not (label.isascii() and label.isdecimal()):
        return scope.execute(files.VERSION_BY_LABEL, _name=name, _version=label).one_or_none()
    digits = label.lstrip("0")
    number = int(digits or 0) if len(digits) <= len(str(MAX_NUMBER)) else MAX_NUMBER + 1
    if number > MAX_NUMBER:
        return None
    return scope.execute(files.VERSION_BY_NUMBER, _name=name, _number=number).one_or_none()
