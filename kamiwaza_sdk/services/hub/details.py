"""Details of fetched files: facts about the model, its card, and files that are not what their names say."""

import logging
import os
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import ClassVar, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk._validation import MAX_SIZE, check_text
from kamiwaza_sdk.exceptions import InvalidInputException, ServiceException
from kamiwaza_sdk.formats.content import CONTENT_HEAD, is_html, is_model_file_name
from kamiwaza_sdk.formats.inspection import detect_format
from kamiwaza_sdk.formats.kinds import kind_of_head
from kamiwaza_sdk.formats.layouts.names import weight_format
from kamiwaza_sdk.formats.licences import all_of
from kamiwaza_sdk.formats.repository import describing_files, structural_files
from kamiwaza_sdk.formats.schemas import LayoutSchema, RepositoryDetailsSchema
from kamiwaza_sdk.services.hub.addresses import suggestion_for_page
from kamiwaza_sdk.services.hub.cache import digest_of, write
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException
from kamiwaza_sdk.services.hub.inspection import Findings, fault_of, inspect_here
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema
from kamiwaza_sdk.services.hub.schemas.results import (
    MAX_CARD_LENGTH,
    MAX_DESCRIPTION_LENGTH,
    Fetched,
    FetchedFile,
    FileFaultSchema,
    manifest_digest,
)
from kamiwaza_sdk.services.storage.files import go_on
from kamiwaza_sdk.services.storage.schemas import BlobSchema, FileEntry
from kamiwaza_sdk.services.storage.services import StorageService

#: Names of files that are pages on purpose.
_PAGES: Final = frozenset({".htm", ".html", ".mhtml", ".xhtml"})
_CARD: Final = "README.md"
_POINTER: Final = "version https://git-lfs.github.com/spec/"
#: How many characters are looked through for a description.
_SEARCHED: Final = 20_000
#: What a line begins with that is no prose: headings, quotes, lists, tables, HTML, images, badges, code, rules.
_NO_PROSE: Final = re.compile(r"\s*(?:[#>|<]|[-*+] |\d+[.)] |!\[|\[!|```|~~~|---|===|\*\*\*|___|\[[^\]]*\]:)|    |\t")
_LINK: Final = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_MARKUP: Final = re.compile(r"\*\*|__|`|<[^<>]*>")
_Fetched = TypeVar("_Fetched", bound=Fetched)


def _card(places: Mapping[str, Path]) -> str | None:
    """Return the ``README.md`` in the root as the card, if there is one. Blocks."""
    if _CARD not in places:
        return None
    with places[_CARD].open("rb") as body:
        text = body.read(4 * MAX_CARD_LENGTH).decode(errors="replace")
    card = text.removeprefix("\ufeff").replace("\0", "\ufffd")[:MAX_CARD_LENGTH]
    return None if not card.strip() or card.startswith(_POINTER) else card


def described(card: str) -> str | None:
    """Return the first paragraph of prose of a card, without markup; `None` if there is none near its top."""
    paragraph: list[str] = []
    is_code = False
    for line in _after_front_matter(card[:_SEARCHED].splitlines()):
        if line.lstrip().startswith(("```", "~~~")):
            is_code = not is_code
        if is_code or not line.strip() or _NO_PROSE.match(line):
            if paragraph:
                break
        else:
            paragraph.append(line.strip())
    text = " ".join(_MARKUP.sub("", _LINK.sub(r"\1", " ".join(paragraph))).split())
    return _cut(text) or None


def _after_front_matter(lines: list[str]) -> list[str]:
    """Return the lines after the front matter, if there is any."""
    if not lines or lines[0].rstrip() != "---":
        return lines
    ends = (number for number, line in enumerate(lines[1:], start=1) if line.rstrip() in {"---", "..."})
    return lines[next(ends, len(lines)) + 1 :]


def _cut(text: str) -> str:
    """Return a text that is cut after a word to the length of a description."""
    if len(text) <= MAX_DESCRIPTION_LENGTH:
        return text
    begun = text[:MAX_DESCRIPTION_LENGTH]
    return f"{begun.rpartition(' ')[0] or begun[:-1]}…"


_logger: Final = logging.getLogger(__name__)
_MAX_WORD_LENGTH: Final = 255
_MAX_HEAD: Final = 4096
_MOST_CODE: Final = 100
_MOST_VARIANTS: Final = 100
_MOST_FILES: Final = 20
#: Seconds that reading took, from which on what was read is kept: to keep it takes a tenth of them.
_WORTH_KEEPING: Final = 0.005
#: Which format counts where there is no default.
_PREFERRED: Final = ("safetensors", "gguf", "onnx", "pickle")


class _Told(BaseModel):
    """Facts from the files, as fields of `Fetched`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    license: str | None
    faults: tuple[FileFaultSchema, ...] = ()
    model_card: str | None = None
    description: str | None = None
    details: dict[str, JsonValue] = Field(default_factory=dict)
    formats: dict[str, str] = Field(default_factory=dict)  # of files of weights, by path


def with_details(fetched: _Fetched, storage: StorageService) -> _Fetched:
    """Return the result with the facts from headers and card, and with faults of files. Blocks.

    Files that cannot be read are skipped. The same files are not read twice: if reading took long, the facts are kept
    beside the store.
    """
    records = storage.root / "details"
    told = _kept(records / _record_of(fetched)) if records.exists() else None
    if told is None:
        started = time.perf_counter()
        told, is_whole = _read(fetched, storage)
        if is_whole and time.perf_counter() - started > _WORTH_KEEPING:
            _keep(told, records / _record_of(fetched))
    facts = {name: getattr(told, name) for name in _Told.model_fields if name != "formats"}
    return fetched.model_copy(update={**facts, "files": tuple(_with_format(file, told) for file in fetched.files)})


def _with_format(file: FetchedFile, told: _Told) -> FetchedFile:
    format_ = told.formats.get(file.path)
    return file if format_ is None else file.model_copy(update={"format": format_})


def _record_of(fetched: Fetched) -> str:
    """Return the name of the record for these files, this licence, and this version of the library."""
    digest = digest_of(f"{_version()} {fetched.license} {manifest_digest(fetched.files)}")
    return f"{digest[:2]}/{digest}"


@cache
def _version() -> str:
    try:
        return version("kamiwaza-sdk")
    except PackageNotFoundError:
        return ""


def _kept(record: Path) -> _Told | None:
    """Return the record; an unreadable one counts as missing."""
    try:
        return _Told.model_validate_json(record.read_bytes())
    except (OSError, ValueError):
        return None


def _keep(told: _Told, record: Path) -> None:
    try:
        write(record, told.model_dump_json())
    except (OSError, ValueError) as error:  # no text, as what strangers wrote can be
        _logger.debug("%s cannot be written, so that its files will be read again: %s", record, error)


def _read(fetched: Fetched, storage: StorageService) -> tuple[_Told, bool]:
    """Return the facts from files, and whether all files could be read. Blocks."""
    places = places_of(fetched, storage, [file.path for file in fetched.files])
    told = _Told(license=fetched.license, faults=_faults(fetched.files, places))
    try:
        card = _card(places)
        told = told.model_copy(update={"model_card": card, "description": described(card) if card else None})
        names = {file.path: file.size for file in fetched.files}
        kinds = {path: weight_format(path, names) for path in names}
        telling = {*structural_files(kinds), *describing_files(kinds)}
        telling |= {path for path, kind in kinds.items() if kind not in {None, "pickle"}}
        here = {path: places[path] for path in names if path in telling and path in places}
        findings = inspect_here(here, names=names)
        findings.files |= names
        findings.faults |= {fault.path: fault for fault in told.faults}
        details = _details(findings)
        if "format" not in details:  # pickles tell nothing else, and to look through them takes long
            pickles = [path for path, kind in kinds.items() if kind == "pickle" and path in places]
            heads = {path: head for path in pickles if (head := _format_by_head(places[path])) is not None}
            details |= {"format": min(heads.values(), key=lambda name: (name != "pickle", name))} if heads else {}
        else:
            heads = {path: kind for path in here if (kind := findings.known_format(path)) not in {None, "program"}}
        license_ = _word(license_of(fetched, findings))
        facts = {"details": details, "license": license_, "formats": heads}
        return told.model_copy(update=facts), len(places) == len(names)
    except Exception:  # whatever hostile bytes do to a reader: they are verified and kept, and that is what was asked
        _logger.warning("%s could not be looked into", fetched.source, exc_info=True)
        return told, False


def _format_by_head(place: Path) -> str | None:
    """Return the format of weights by the first bytes of a file: a pickle, an archive with pickles, or another one."""
    with place.open("rb") as file:
        head = file.read(_MAX_HEAD)
    kind = kind_of_head(head)
    if kind is not None:
        return kind.name if kind.is_weights else None
    return "pickle" if detect_format(head) == "pickle" else None


def _details(findings: Findings) -> dict[str, JsonValue]:
    described = findings.described()
    found: dict[str, JsonValue] = {
        "format": _format(findings, described),
        "architecture": _word(described.architecture),
        "parameters": _counts(described),
        "stored_elements": _number(described.stored_elements),
        "quantization": _word(described.quantization),
        "context_length": _number(described.context_length),
        "remote_code": _named_code(described),
        "layout": _kept_layout(described.layout),
    }
    return {name: value for name, value in found.items() if value is not None}


def _format(findings: Findings, described: RepositoryDetailsSchema) -> str | None:
    """Return the format of the loaded variant; if its bytes tell none, that of other weights."""
    chosen = described.layout.variant(described.variant) if described.variant is not None else None
    return _likeliest(findings, () if chosen is None else chosen.files) or _likeliest(findings, findings.files)


def _likeliest(findings: Findings, paths: Iterable[str]) -> str | None:
    read = {kind for path in paths if (kind := findings.known_format(path)) not in {None, "program"}}
    return next((name for name in _PREFERRED if name in read), min(filter(None, read), default=None))


def _kept_layout(layout: LayoutSchema) -> dict[str, JsonValue] | None:
    """Return the part of the layout that a version stores: names and sizes that a database accepts."""
    variants: list[JsonValue] = [
        {"name": _word(one.name) or "unnamed", "format": one.format, "size": _size(one.size)}
        for one in layout.variants[:_MOST_VARIANTS]
    ]
    companions: list[JsonValue] = [
        {"kind": one.kind, "files": [path for path in one.files[:_MOST_FILES] if _word(path)], "size": _size(one.size)}
        for one in [one for one in layout.companions if one.kind not in {"config", "tokenizer"}][:_MOST_VARIANTS]
    ]
    incomplete: list[JsonValue] = [
        {"name": _word(one.name) or "unnamed", "missing": _word(one.missing[0])}
        for one in layout.incomplete[:_MOST_VARIANTS]
    ]
    kept: dict[str, JsonValue] = {"variants": variants, "companions": companions, "incomplete": incomplete}
    kept = {name: value for name, value in kept.items() if value}
    return {"default": _word(layout.default)} | kept if kept else None


def _size(size: int | None) -> int | None:
    return size if size is not None and size <= MAX_SIZE else None


def _word(text: str | None) -> str | None:
    """Return a text without characters that a database refuses: it comes from outside."""
    try:
        return None if text is None or len(text) > _MAX_WORD_LENGTH else check_text(text)
    except InvalidInputException:
        return None


def _named_code(described: RepositoryDetailsSchema) -> dict[str, JsonValue] | None:
    """Return the names of code that a database accepts."""
    named = {path: _word(what) or "names code" for path, what in described.remote_code.items() if _word(path)}
    return dict(list(named.items())[:_MOST_CODE]) or None


def _number(number: int | None) -> int | None:
    return number if number is not None and 0 < number <= MAX_SIZE else None


def _counts(described: RepositoryDetailsSchema) -> dict[str, JsonValue] | None:
    counts = described.parameters_by_dtype
    return dict(counts) if counts and sum(counts.values()) <= MAX_SIZE else None


def places_of(fetched: Fetched, storage: StorageService, paths: Iterable[str]) -> dict[str, Path]:
    """Return the blobs of files in the store, by path. Blocks."""
    wanted = set(paths)
    contents = {(file.sha256, file.size) for file in fetched.files if file.path in wanted}
    blobs = {content: storage.find(content[0], size=content[1]) for content in contents}
    found = ((file.path, blobs[file.sha256, file.size]) for file in fetched.files if file.path in wanted)
    return {path: blob.path for path, blob in found if blob is not None}


def license_of(fetched: Fetched, findings: Findings) -> str | None:
    """Return the licence that hub and files name, an expression where they name several."""
    try:
        found = findings.described().license
    except ServiceException:
        found = None
    return all_of(filter(None, (fetched.license, found)))


def faults_of(files: Iterable[FileEntry], storage: StorageService) -> tuple[FileFaultSchema, ...]:
    """Return the files in the store that are not what their names say, by their first bytes. Blocks.

    Files that cannot be read are skipped.
    """
    files = [*files]
    return _faults(files, {file.path: blob.path for file in files if (blob := _blob(file, storage)) is not None})


def _blob(file: FileEntry, storage: StorageService) -> BlobSchema | None:
    return storage.find(file.sha256, size=file.size)


def _faults(files: Iterable[FileEntry], places: Mapping[str, Path]) -> tuple[FileFaultSchema, ...]:
    faults = list[FileFaultSchema]()
    for file in files:
        go_on()
        if file.path not in places or (file.size > CONTENT_HEAD and not is_model_file_name(file.path)):
            continue  # its name promises nothing, and it is too large for a pointer
        with suppress(OSError):
            fault = fault_of(first_bytes(places[file.path]), path=file.path, size=file.size)
            faults += [] if fault is None else [fault]
    return tuple(faults)


def refuse_page(file: ManifestFileSchema, head: bytes, *, endpoint: str) -> None:
    """Raise if a URL led to an HTML page instead of a file, with a suggestion if it is a page of a hub.

    Raises:
        InvalidSourceException: It did.
    """
    if PurePosixPath(file.path).suffix.lower() in _PAGES or not is_html(head[:CONTENT_HEAD]):
        return
    suggestion = suggestion_for_page(file.url, endpoint=endpoint)
    way_out = "give the address of the file itself, and a token where the page asks to sign in"
    reason = f"leads to an HTML page, not to a file; {suggestion.way_out if suggestion else way_out}"
    raise InvalidSourceException(redact_text(file.url), reason, suggestion=suggestion.address if suggestion else None)


def first_bytes(place: Path) -> bytes:
    """Return the first bytes of a file. Blocks."""
    # Without O_NONBLOCK, opening a pipe would wait for a writer.
    file = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return os.read(file, CONTENT_HEAD)
    finally:
        os.close(file)
