"""Exceptions of the inspection of files. `kamiwaza_sdk.exceptions` shows the whole tree."""

from collections.abc import Iterable
from typing import Final, Self

from kamiwaza_sdk.exceptions import ServiceException

#: The names of variants that a message lists.
_MOST_NAMES: Final = 20
_LONGEST: Final = 200


def _shown(text: str) -> str:
    """Return a text from outside without characters that control a terminal."""
    return ascii(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def _place(path: str, format: str | None, offset: int | None) -> str:  # noqa: A002 - the word for it
    where = "" if offset is None else f" at byte {offset}"
    return f"{path}{where}" if format is None else f"{path} ({format}){where}"


class FormatException(ServiceException):
    """A file could not be inspected. Nothing of it was executed, and no more of it read than this took.

    Attributes:
        path: The name of the file.
        format: The expected format; `None` where it is not known.
        offset: Of the problem, in bytes; `None` where it is the whole file.
        reason: The problem, with the way out.
    """

    def __init__(self, *, path: str, reason: str, format: str | None = None, offset: int | None = None) -> None:  # noqa: A002 - as above
        super().__init__(f"{_place(path, format, offset)}: {reason}")
        self.path = path
        self.format = format
        self.offset = offset
        self.reason = reason

    def renamed(self, path: str) -> Self:
        """Return this exception for another name of the same file."""
        again = type(self).__new__(type(self))
        again.__dict__.update(self.__dict__, path=path)
        again.args = (f"{_place(path, self.format, self.offset)}: {self.reason}",)
        return again


class MalformedFileException(FormatException, ValueError):
    """A file violates its format: it is cut short, damaged, or made to mislead."""


class NotTheModelException(MalformedFileException):
    """A file has the name of a model and other content: a pointer, a web page, an error, a text.

    Attributes:
        kind: ``git_lfs_pointer``, ``git_annex_pointer``, ``magnet_link``, ``html_page``, ``error_answer`` (in JSON or
            XML), ``image``, ``document``, ``text``, ``empty``, ``empty_archive``, ``zeros``, or ``wrong_magic_number``.
    """

    def __init__(
        self,
        *,
        path: str,
        reason: str,
        kind: str,
        format: str | None = None,  # noqa: A002 - as above
        offset: int | None = None,
    ) -> None:
        super().__init__(path=path, reason=reason, format=format, offset=offset)
        self.kind = kind


class FormatLimitException(FormatException):
    """To read a file takes more than is allowed.

    Attributes:
        limit: What is allowed.
    """

    def __init__(
        self,
        *,
        path: str,
        reason: str,
        limit: int,
        format: str | None = None,  # noqa: A002 - as above
        offset: int | None = None,
    ) -> None:
        super().__init__(path=path, reason=reason, format=format, offset=offset)
        self.limit = limit


class UnknownFormatException(FormatException):
    """A file has no known format: not by its first bytes, and not by its name."""


class UnknownVariantException(ServiceException, LookupError):
    """A repository has no variant of that name, or not all of its files.

    Attributes:
        variant: The requested name.
        source: The repository.
        variants: The names of all variants.
        missing: The first files that the variant lacks; empty where there is no variant of that name.
    """

    def __init__(self, *, variant: str, source: str, variants: Iterable[str], missing: Iterable[str] = ()) -> None:
        names, missing = tuple(variants), tuple(missing)
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        choice = f"choose one of {', '.join(map(_shown, names[:_MOST_NAMES]))}{more}" if names else "it has none at all"
        what = f"lacks {_shown(missing[0])} of its variant" if missing else "has no variant"
        super().__init__(f"{_shown(source) if source else 'the repository'} {what} {_shown(variant)}; {choice}")
        self.variant = variant
        self.source = source
        self.variants = names
        self.missing = missing
