"""What can be wrong with a file that is inspected. The whole tree is drawn in `kamiwaza_sdk.exceptions`."""

from collections.abc import Iterable
from typing import Final, Self

from kamiwaza_sdk.exceptions import ServiceException

#: How many names of variants a message lists.
_MOST_NAMES: Final = 20
_LONGEST: Final = 200


def _shown(text: str) -> str:
    """Return what a stranger wrote, without what steers a terminal."""
    return ascii(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def _place(path: str, format: str | None, offset: int | None) -> str:  # noqa: A002 - the word for it
    where = "" if offset is None else f" at byte {offset}"
    return f"{path}{where}" if format is None else f"{path} ({format}){where}"


class FormatException(ServiceException):
    """A file could not be inspected. Nothing of it was executed, and no more of it read than was needed to see that.

    Attributes:
        path: The file, as it was named.
        format: What it was read as; `None` where that is not known.
        offset: The byte at which the trouble is; `None` where it is the file as a whole.
        reason: What is the matter, with the way out.
    """

    def __init__(self, *, path: str, reason: str, format: str | None = None, offset: int | None = None) -> None:  # noqa: A002 - as above
        super().__init__(f"{_place(path, format, offset)}: {reason}")
        self.path = path
        self.format = format
        self.offset = offset
        self.reason = reason

    def renamed(self, path: str) -> Self:
        """Return this exception as it is for another name of the same file."""
        again = type(self).__new__(type(self))
        again.__dict__.update(self.__dict__, path=path)
        again.args = (f"{_place(path, self.format, self.offset)}: {self.reason}",)
        return again


class MalformedFileException(FormatException, ValueError):
    """A file is not what its format demands: cut short, damaged, or made to mislead."""


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
    """A file asks for more than reading it is allowed to take.

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
    """A file is of no format that can be inspected: not by its first bytes, and not by its name."""


class UnknownVariantException(ServiceException, LookupError):
    """A repository has no variant of that name, or not all of its files.

    Attributes:
        variant: The name that was asked for.
        source: The repository.
        variants: The names that there are.
        missing: Files that the variant lacks, the first of them; none where there is no such variant at all.
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
