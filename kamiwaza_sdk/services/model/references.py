"""Reference strings: ``name``, ``name:3``, ``name:v1.5``, ``name@production``."""

from dataclasses import dataclass

from kamiwaza_sdk._validation import check_label, check_name, check_text
from kamiwaza_sdk.exceptions import InvalidNameException
from kamiwaza_sdk.services.model.exceptions import InvalidReferenceException

__all__ = ["Reference", "parse_reference"]


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
        InvalidReferenceException: It has none of these forms.

    Example:
        >>> parse_reference("org/minilm:3")
        Reference(name='org/minilm', version='3', alias=None)
    """
    check_text(reference, field="reference")
    try:
        name, at, alias = reference.partition("@")
        name, colon, version = name.partition(":")
        if at and colon:
            raise InvalidReferenceException(reference, "has both a version and an alias; give one of them")
        return Reference(
            name=check_name(name),
            version=check_label(version) if colon else None,
            alias=check_label(alias) if at else None,
        )
    except InvalidNameException as error:
        raise InvalidReferenceException(reference, f"is no reference: its {error}") from error
