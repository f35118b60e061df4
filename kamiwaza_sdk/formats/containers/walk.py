"""Says what a file is by looking into it, and into the files that it holds."""

from pathlib import PurePosixPath
from typing import Final, NoReturn

from kamiwaza_sdk.formats.containers.look import ZIP, Look, is_tar
from kamiwaza_sdk.formats.containers.packed import packing_of
from kamiwaza_sdk.formats.exceptions import FormatLimitException, MalformedFileException, UnknownFormatException
from kamiwaza_sdk.formats.kinds import (
    Kind,
    is_pickle_name,
    kind_behind_user_block,
    kind_called,
    kind_of_archive,
    kind_of_head,
    named_format,
)
from kamiwaza_sdk.formats.pickles.scan import (
    BEGINNINGS,
    NUMPY,
    Found,
    is_torch_file,
    look_through_arrays,
    look_through_pickles,
)
from kamiwaza_sdk.formats.schemas.files import OtherFileSchema, PickleSchema, PickleVerdict
from kamiwaza_sdk.formats.source import ByteSource, Cursor, Reading

_ORDER: Final[tuple[PickleVerdict, ...]] = ("safe", "suspicious", "dangerous")
_MAX_FINDINGS: Final = 20
_PEEK: Final = 4096
#: What says only how files are put together, and not what they are.
_PLAIN: Final = frozenset(
    {"zip", "tar", "gzip", "zlib", "bzip2", "xz", "lzma", "lz4", "zstandard", "7z", "rar", "npy", "numpy"}
)


def read_contents(source: ByteSource, head: bytes) -> Reading[PickleSchema | OtherFileSchema]:
    """Return what a file is, and what the pickles in it would import, or raise: it is of no kind that is known."""
    look = Look(source)
    try:
        form, tried = yield from _look_everywhere(look, head)
    except FormatLimitException as error:
        form, tried = _beyond_limit(look, head, error), None
    kind = _kind(head, form, look)
    if kind is not None and look.names is not None:
        yield from look.find_code(kind.name)
    return _schema(source, form, kind, look.found, tried)


def _look_everywhere(look: Look, head: bytes) -> Reading[tuple[str | None, str | None]]:
    """Return in what form pickles can be in a file, and why it is no pickle, if it is none."""
    tried = None
    packing = packing_of(head)
    outer = packing.name if packing else "tar" if is_tar(head) else None
    if head.startswith(ZIP):
        form: str | None = "zip"
        yield from _look_into_zip(look)
    elif head.startswith(NUMPY):
        form = "numpy"
        yield from look_through_arrays(Cursor(look.source, 0, look.source.size), look.found)
    else:
        form, tried = yield from _look_through_pickles(look, head, outer)
        if outer is not None:
            yield from _look_into_outer(look, outer, is_pickle=form is not None)
            form = form or outer
    # To a program that looks at the end first, it can be one all the same; that is then no member of a tar archive.
    if form != "zip" and not look.ends_with_padding:
        yield from look.into_archive(required=False)
        form = form or ("zip" if look.names is not None else None)
    return form, tried


def _beyond_limit(look: Look, head: bytes, error: FormatLimitException) -> str:
    """Keep what was found until a limit was reached, and say that more may follow; return the form.

    Raises:
        FormatLimitException: It may be no pickle, or was safe so far, and could be known alone, or read from here.
    """
    source, found = look.source, look.found
    found.add_begun()
    form = "zip" if head.startswith(ZIP) else "numpy" if head.startswith(NUMPY) else None
    if not (found.has_pickles or is_pickle_name(source.path) or (form and named_format(source.path) == "pickle")):
        raise error
    if source.curtailed and not found.findings and _worst([one.verdict for one in found.judged()]) == "safe":
        raise error
    found.promised = True
    found.findings.insert(0, error.reason)
    found.unread.insert(0, error.reason)
    return form or ("torch" if is_torch_file(source, head) else "pickle")


def _look_into_zip(look: Look) -> Reading[None]:
    """Look into an archive, as far as the budget goes; where pickles are promised, all of it has to be looked into."""
    try:
        yield from look.into_archive(required=True)
    except FormatLimitException as error:
        if named_format(look.source.path) == "pickle":
            raise
        look.found.add_begun()
        look.found.unread.append(error.reason)


def _look_through_pickles(look: Look, head: bytes, outer: str | None) -> Reading[tuple[str | None, str | None]]:
    """Return in what pickles are, if it is pickles, and why not."""
    promised = is_pickle_name(look.source.path) and outer is None
    if not promised and (not head or head[0] not in BEGINNINGS):
        return None, None
    form, tried = yield from look_through_pickles(look.source, head, look.found)
    if look.found.has_pickles:
        return form, tried
    look.found.findings.clear()
    return None, tried


def _look_into_outer(look: Look, outer: str, *, is_pickle: bool) -> Reading[None]:
    """Look into what is packed, or a tar archive, as far as the budget goes; and note if it is a pickle, too."""
    if is_pickle:
        what = f"what {outer} has packed, and can be unpacked before it is loaded"
        what = "a tar archive, and can be loaded as one" if outer == "tar" else what
        look.found.findings.append(f"it begins as {what}")
    try:
        yield from look.into(Cursor(look.source, 0, look.source.size), PurePosixPath(look.source.path).name, 0)
    except FormatLimitException as error:
        look.found.add_begun()
        look.found.unread.append(error.reason)
    except MalformedFileException as error:
        if not is_pickle:
            look.found.unread.append(error.reason)


def _kind(head: bytes, form: str | None, look: Look) -> Kind | None:
    """Return what kind a file is: by what it begins with, by the names in it, or by how it is packed."""
    if form in {"pickle", "torch"}:
        return None
    kind = kind_of_head(head[:_PEEK] if form else head)
    if kind is not None or form is None:
        return kind or kind_behind_user_block(head)
    if form == "numpy":
        return kind_called("npy")
    told = kind_called(form) if look.names is None else kind_of_archive(look.names)
    return kind_called(form) if told.name == "zip" else told


def _schema(
    source: ByteSource, form: str | None, kind: Kind | None, found: Found, tried: str | None
) -> PickleSchema | OtherFileSchema:
    plain = kind is None or kind.name in _PLAIN
    is_torn = form == "zip" and bool(found.findings) and named_format(source.path) == "pickle"
    if form is not None and plain and (found.has_pickles or is_torn):
        return _pickle_schema(source, form, found)
    if kind is None or (plain and is_pickle_name(source.path) and not found.unread):
        _refuse(source, kind, tried)
    return _other_schema(source, kind, found)


def _worst(verdicts: list[PickleVerdict]) -> PickleVerdict:
    return max(verdicts, key=_ORDER.index, default="safe")


def _pickle_schema(source: ByteSource, form: str, found: Found) -> PickleSchema:
    source.format = "pickle"
    imports = found.judged()
    return PickleSchema(
        size=source.size,
        container=form,  # type: ignore[arg-type]  # of the forms that hold pickles
        verdict=_worst([one.verdict for one in imports] + ["suspicious"] * bool(found.findings)),
        imports=imports,
        pickles=found.pickles,
        findings=tuple(found.findings[:_MAX_FINDINGS]),
        unread=tuple(found.unread[:_MAX_FINDINGS]),
    )


def _other_schema(source: ByteSource, kind: Kind, found: Found) -> OtherFileSchema:
    source.format = kind.name
    imports = found.judged()
    spoken = bool(found.findings) and (found.has_pickles or kind.name in {"numpy", "npy"})
    verdict = _worst([one.verdict for one in imports] + ["suspicious"] * spoken + [one for one, _ in found.code])
    is_read = kind.name in {"numpy", "npy"} and not found.unread
    code = sorted(found.code, key=lambda one: -_ORDER.index(one[0]))
    findings = [what for _, what in code] + found.findings
    unread = "; ".join(found.unread[:1])
    return OtherFileSchema(
        size=source.size,
        format=kind.name,
        is_weights=kind.is_weights,
        verdict=verdict if verdict != "safe" or is_read else None,
        reason=findings[0] if verdict != "safe" and findings else unread or kind.reason,
        imports=imports,
        pickles=found.pickles,
        findings=tuple(findings[:_MAX_FINDINGS]),
        unread=tuple(found.unread[:_MAX_FINDINGS]),
    )


def _refuse(source: ByteSource, kind: Kind | None, tried: str | None) -> NoReturn:
    if is_pickle_name(source.path):
        source.format = "pickle"
        empty = "it is empty" if not source.size else "it begins with no instruction of one"
        what = f"it is {kind.name}" if kind else tried or empty
        source.refuse(f"it is called a pickle, and is none: {what}")
    reason = "it is no safetensors, GGUF, ONNX or pickle-based file, and of no other kind that is known"
    raise UnknownFormatException(path=source.path, reason=reason)
