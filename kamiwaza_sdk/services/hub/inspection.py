"""Inspection of a source's files, on this machine, in the store, or still on their server.

It finds files that are not what their names say, such as Git LFS pointers and HTML pages.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final

from kamiwaza_sdk.exceptions import ServiceException
from kamiwaza_sdk.formats.content import CONTENT_HEAD, reading_key, what_is_instead
from kamiwaza_sdk.formats.exceptions import (
    FormatException,
    MalformedFileException,
    NotTheModelException,
    UnknownFormatException,
)
from kamiwaza_sdk.formats.facts import Repository, quantization_of
from kamiwaza_sdk.formats.inspection import FileSummary, InspectionCache, check_head
from kamiwaza_sdk.formats.kinds import is_program, kind_beside, named_format
from kamiwaza_sdk.formats.layouts.candidates import brief_structure
from kamiwaza_sdk.formats.layouts.choices import first_files
from kamiwaza_sdk.formats.licences import is_licence_file
from kamiwaza_sdk.formats.metadata import remote_code
from kamiwaza_sdk.formats.parameters import QUANTIZATION_FILES, Quantization
from kamiwaza_sdk.formats.repository import (
    describe_repository,
    describing_files,
    read_describing,
    read_structure,
    structural_files,
)
from kamiwaza_sdk.formats.schemas import (
    FormatSchema,
    LayoutSchema,
    OtherFileSchema,
    PickleSchema,
    PickleVerdict,
    RepositoryDetailsSchema,
    VariantSchema,
)
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema
from kamiwaza_sdk.services.hub.schemas.results import FileFaultSchema
from kamiwaza_sdk.services.hub.sources import content_of
from kamiwaza_sdk.services.hub.sources.local import in_thread
from kamiwaza_sdk.services.hub.sources.protocol import Allowance, RangeReader, SourceContext, SpentException
from kamiwaza_sdk.services.storage.files import go_on

#: A text that is longer describes nothing.
_MAX_TEXT: Final = 4 * 1024**2
_MAX_HEAD: Final = 4096
#: What takes less time to read, or to put in order, than a thread takes to begin.
_SMALL: Final = 64 * 1024
_MANY: Final = 100
#: How many files elsewhere are looked at together.
_AT_ONCE: Final = 64
#: How many files at a server are read that declare what belongs together.
_MOST_DECLARING: Final = 8
_ORDER: Final = {"safetensors": 0, "gguf": 1, "onnx": 2, "pickle": 3}


@dataclass(slots=True)
class Findings:
    """The results so far.

    Attributes:
        summaries: The headers of weights, by path.
        texts: The texts that describe a model, and those that declare which files belong together, by path.
        files: All files, whether they were read or not, with their sizes if known.
        others: Files that are not weights, whatever their names are.
        broken: Files that were read, and that violate their format.
        glanced: Files of which only the first bytes were read, and which are what their names say by these.
        programs: Files that a machine executes.
        beside: Formats that are known only from other files, by path.
        problems: Why the content of a file is not known, by path.
        unreadable: Why a text could not be used, by name.
        sizes: Sizes that are not in the listing, by path.
        faults: Files that are not what their names say, by path.
        source: The source, for messages.
    """

    summaries: dict[str, FileSummary] = field(default_factory=dict[str, FileSummary])
    texts: dict[str, bytes] = field(default_factory=dict[str, bytes])
    files: dict[str, int | None] = field(default_factory=dict[str, int | None])
    others: set[str] = field(default_factory=set[str])
    broken: set[str] = field(default_factory=set[str])
    glanced: set[str] = field(default_factory=set[str])
    programs: set[str] = field(default_factory=set[str])
    beside: dict[str, str] = field(default_factory=dict[str, str])
    problems: dict[str, str] = field(default_factory=dict[str, str])
    unreadable: dict[str, str] = field(default_factory=dict[str, str])
    sizes: dict[str, int] = field(default_factory=dict[str, int])
    faults: dict[str, FileFaultSchema] = field(default_factory=dict[str, FileFaultSchema])
    source: str = ""
    _read: dict[str, bytes] = field(default_factory=dict[str, bytes])
    _repository: tuple[tuple[int, ...], Repository] | None = None

    def told_of(self) -> frozenset[str]:
        """Return the files about which more is known than their names."""
        return frozenset().union(
            self.summaries, self.others, self.programs, self.beside, self.problems, self.unreadable
        )

    def format(self, path: str) -> str | None:
        """Return the format of weights, or ``program``: from the bytes of the file, or else its name."""
        is_known = path in self.summaries or path in self.others
        return self.known_format(path) or (None if is_known else named_format(path))

    def known_format(self, path: str) -> str | None:
        """Return the format of weights by the bytes, or else by the files beside it, or ``program``."""
        schema = self._schema(path)
        if path in self.programs:
            return "program"
        if isinstance(schema, OtherFileSchema) and not schema.is_weights:
            return None
        return self.beside.get(path) if schema is None else schema.format

    def verdict(self, path: str) -> PickleVerdict | None:
        """Return whether loading a file can do harm, if it is known."""
        schema = self._schema(path)
        return schema.verdict if isinstance(schema, PickleSchema | OtherFileSchema) else None

    def unread(self, path: str) -> str | None:
        """Return the parts of a file that were not read, although they can contain pickles."""
        schema = self._schema(path)
        return next(iter(schema.unread), None) if isinstance(schema, PickleSchema | OtherFileSchema) else None

    def _schema(self, path: str) -> FormatSchema | None:
        summary = self.summaries.get(path)
        return None if summary is None else summary.schema

    def dtype(self, path: str) -> str | None:
        """Return the type of most parameters of a file."""
        summary = self.summaries.get(path)
        by_dtype: Mapping[str, int] = getattr(summary and summary.schema, "parameters_by_dtype", None) or {}
        return max(by_dtype, key=lambda dtype: by_dtype[dtype], default=None)

    def problem(self, path: str) -> str | None:
        """Return the problem of a file, weights or text."""
        return self.problems.get(path) or self.unreadable.get(path) or self.outside(path)

    def outside(self, path: str) -> str | None:
        """Return the external weights of a file that are outside of its directory."""
        summary = self.summaries.get(path)
        return None if summary is None else summary.outside

    def repository(self) -> Repository:
        """Return all facts about the files, combined again if more is known now."""
        known = (
            len(self.files),
            len(self.texts),
            len(self.summaries),
            *map(len, (self.sizes, self.others, self.broken, self.faults)),
        )
        if self._repository is None or self._repository[0] != known:
            texts, sizes = self._readable(), self.files | self.sizes
            repository = Repository(
                sizes,
                texts,
                self.summaries,
                unreadable=self.faults.keys() | self.broken,
                unknown=self.others,
                source=self.source,
                before=None if self._repository is None else self._repository[1],
            )
            self._repository = known, repository
        return self._repository[1]

    def described(self, variant: str | None = None) -> RepositoryDetailsSchema:
        """Return the combined facts about a variant, by default the one that loaders choose."""
        return self.repository().describe(variant)

    @property
    def layout(self) -> LayoutSchema:
        """The layout: variants and companions."""
        return self.repository().layout

    def is_checked(self, variant: VariantSchema) -> bool:
        """Return whether the files that identify a variant were read."""
        return all(
            path in self.summaries or path in self.others or path in self.glanced for path in first_files(variant)
        )

    def remote_code(self) -> dict[str, str | None]:
        """Return the code in files, or named by them; `None` for a configuration that cannot be read."""
        return remote_code(self.texts, self.files)

    def unknown_licences(self, paths: Iterable[str], *, final: bool) -> tuple[str, ...]:
        """Return the files with the name of a licence whose text is unknown.

        Args:
            paths: The paths of the wanted files.
            final: Whether nothing more will be read, so that the other files are unknown.
        """
        wanted = [path for path in paths if is_licence_file(path)]
        try:
            unknown = self.described().unknown_licenses
        except ServiceException:
            return tuple(wanted)
        return tuple(path for path in wanted if path in unknown or (final and path not in self.texts))

    def _readable(self) -> dict[str, bytes]:
        """Return the texts that can be read. Each is tried once."""
        for name in self.texts.keys() - self._read.keys() - self.unreadable.keys():
            try:
                describe_repository({name: self.texts[name]}, {})
            except FormatException as error:
                self.unreadable[name] = str(error)
            else:
                self._read[name] = self.texts[name]
        return {name: text for name, text in self.texts.items() if name in self._read}

    def share(self, path: str, others: Iterable[str]) -> None:
        """Copy the results of one name of a content to its other names."""
        for other in others:
            if path in self.summaries:
                self.summaries[other] = self.summaries[path]
            if path in self.sizes:
                self.sizes[other] = self.sizes[path]
            self.glanced |= {other} if path in self.glanced else set()
            self.broken |= {other} if path in self.broken else set()
            if path in self.others:
                self.note(other, UnknownFormatException(path=other, reason=""))
            if path in self.faults:
                self.faults[other] = self.faults[path].model_copy(update={"path": other})
            if path in self.problems:
                reason = self.problems[path]
                self.problems[other] = other + reason.removeprefix(path) if reason.startswith(path) else reason

    def note(self, path: str, error: Exception) -> None:
        """Record why the content of a file is not known, unless there is nothing to know."""
        if isinstance(error, UnknownFormatException):
            self.others.add(path)
            kind = kind_beside(path, self.files)
            self.beside |= {} if kind is None else {path: kind.name}
            return
        self.problems[path] = str(error)
        if isinstance(error, MalformedFileException):
            self.broken.add(path)
        if isinstance(error, NotTheModelException):
            self.others.add(path)
            self.faults[path] = FileFaultSchema(path=path, kind=error.kind, reason=error.reason)


class Inspection:
    """Reads headers of files: of local files without limit, of others by ranges, within the allowance.

    Args:
        context: Sends the requests for ranges.
        kept: The paths of local files.
        requests: The largest number of requests.
        source: The source, for messages.
    """

    def __init__(self, context: SourceContext, kept: Mapping[str, Path], *, requests: int, source: str) -> None:
        self.findings: Findings = Findings(source=source)
        self._context = context
        self._kept = kept
        self._allowance = Allowance(requests)
        self._cache = InspectionCache()
        self._looked_at = dict[Hashable, str]()  # under which name, by content
        self._alone = asyncio.Lock()  # what is looked into takes memory, and the time of whoever else runs

    async def describe(
        self, files: Sequence[ManifestFileSchema], *, remote: bool, texts: Container[str] = frozenset()
    ) -> None:
        """Read the texts that describe a model; of remote ones, the configuration if wanted, and these texts."""
        telling, declaring = await asyncio.to_thread(self._telling, files)
        for file in telling:
            if file.path in self._kept:
                await asyncio.to_thread(self._read_here, file)
            elif (remote and file.path == "config.json") or file.path in texts or file.path in declaring:
                await self._guarded(file, self._read_text)
        await self._read_quantization(files)

    def _telling(self, files: Sequence[ManifestFileSchema]) -> tuple[list[ManifestFileSchema], list[str]]:
        """Return the local texts that were not read yet, and the remote ones that are worth a request."""
        self.findings.files |= {file.path: file.size for file in files}
        structural = frozenset(structural_files(self.findings.files))
        ordered = sorted(structural, key=lambda path: (path.count("/"), path))
        declaring = ordered[:_MOST_DECLARING] if self._allowance.left > _MOST_DECLARING else []
        wanted = (describing_files(self.findings.files) | structural) - self.findings.texts.keys()
        return [file for file in files if file.path in wanted], declaring

    async def _read_quantization(self, files: Sequence[ManifestFileSchema]) -> None:
        """Read the quantization of the weights before their headers."""
        found, texts = await self._quantization(), self.findings.texts
        others = [] if found else [one for one in files if one.path in QUANTIZATION_FILES and one.path not in texts]
        for file in others:
            await self._guarded(file, self._read_text)
        self._cache.quantization = await self._quantization() if others else found

    async def _quantization(self) -> Quantization | None:
        """Return the facts from the texts so far."""
        texts = self.findings.texts
        if sum(map(len, texts.values())) <= _SMALL:
            return quantization_of(texts)
        return await asyncio.to_thread(quantization_of, texts)

    async def look_into(self, files: Collection[ManifestFileSchema]) -> None:
        """Read the headers of files with names of weights, the most useful first, each content once."""
        many = len(files) > _MANY
        for contents in await in_thread(lambda: self._ordered(files)) if many else self._ordered(files):
            here = [names for names in contents if names[0].path in self._kept]
            there = [names for names in contents if names[0].path not in self._kept]
            await asyncio.gather(self._look_at_kept(here), self._look_elsewhere(there))

    def _ordered(self, files: Iterable[ManifestFileSchema]) -> list[list[list[ManifestFileSchema]]]:
        """Return the files to read, by format and content. Blocks."""
        kinds = {file.path: named_format(file.path) or "" for file in files}
        wanted = [file for file in files if kinds[file.path] and file.path not in self.findings.summaries]
        ordered = sorted(wanted, key=lambda file: (_ORDER[kinds[file.path]], file.path))
        return [self._by_content(group) for _, group in groupby(ordered, key=lambda file: kinds[file.path])]

    def _by_content(self, files: Iterable[ManifestFileSchema]) -> list[list[ManifestFileSchema]]:
        """Return the names of each content that was not read; for the others, share the results."""
        contents = dict[Hashable, list[ManifestFileSchema]]()
        for file in files:
            here = self._kept.get(file.path)
            content = (here or content_of(file), reading_key(file.path))
            if content in self._looked_at:
                self.findings.share(self._looked_at[content], [file.path])
            else:
                contents.setdefault(content, []).append(file)
        self._looked_at |= {content: names[0].path for content, names in contents.items()}
        return list(contents.values())

    async def _look_once(self, names: Sequence[ManifestFileSchema]) -> None:
        """Read a content under its first name."""
        await self._guarded(names[0], self._look_there)
        self.findings.share(names[0].path, [file.path for file in names[1:]])

    async def _look_elsewhere(self, contents: Sequence[Sequence[ManifestFileSchema]]) -> None:
        for start in range(0, len(contents), _AT_ONCE):
            await asyncio.gather(*map(self._look_once, contents[start : start + _AT_ONCE]))

    async def _look_at_kept(self, contents: Sequence[Sequence[ManifestFileSchema]]) -> None:
        if not contents:
            return
        async with self._alone:
            await in_thread(lambda: self._look_here(contents))

    def _look_here(self, contents: Iterable[Sequence[ManifestFileSchema]]) -> None:
        """Read contents on this machine, one after the other. Blocks."""
        for names in contents:
            go_on()
            path = names[0].path
            try:
                self._note_summary(path, self._cache.inspect(self._kept[path], name=path))
            except (ServiceException, OSError) as error:
                self.findings.note(path, error)
            self.findings.share(path, [file.path for file in names[1:]])

    async def glance_at(self, files: Collection[ManifestFileSchema]) -> None:
        """Read the first bytes of files, to see whether they are what their names say; of local files, all.

        It takes one request for each content, within the allowance.
        """
        await self.look_into_others(files)
        contents = await in_thread(lambda: self._by_content(self._elsewhere(files)))
        for start in range(0, len(contents), _AT_ONCE):
            await asyncio.gather(*map(self._glance_once, contents[start : start + _AT_ONCE]))

    async def _glance_once(self, names: Sequence[ManifestFileSchema]) -> None:
        await self._guarded(names[0], self._glance)
        self.findings.share(names[0].path, [file.path for file in names[1:]])

    async def _glance(self, file: ManifestFileSchema) -> None:
        self._allowance.spend()
        length = min(file.size or CONTENT_HEAD, CONTENT_HEAD)
        part = await self._context.read_range(file.url, offset=0, length=length)
        size = file.size or part.size or length
        if await asyncio.to_thread(check_head, part.body, path=file.path, size=size):
            self.findings.glanced.add(file.path)

    async def look_into_others(self, files: Iterable[ManifestFileSchema]) -> None:
        """Read the headers of local files that were not read yet, because their names prove nothing."""
        if not self._kept:
            return
        async with self._alone:
            names = self.findings.files
            found = await in_thread(lambda: inspect_here(self._here(files), self._cache, names=names))
        self.findings.summaries |= found.summaries
        self.findings.others |= found.others
        self.findings.programs |= found.programs
        self.findings.beside |= found.beside
        self.findings.broken |= found.broken
        self.findings.problems |= found.problems
        self.findings.faults |= found.faults

    def _here(self, files: Iterable[ManifestFileSchema]) -> dict[str, Path]:
        return {file.path: self._kept[file.path] for file in self._unseen(files) if file.path in self._kept}

    def _elsewhere(self, files: Iterable[ManifestFileSchema]) -> list[ManifestFileSchema]:
        return [file for file in self._unseen(files) if file.path not in self._kept]

    def _unseen(self, files: Iterable[ManifestFileSchema]) -> list[ManifestFileSchema]:
        seen = self.findings.summaries.keys() | self.findings.others
        return [file for file in files if file.path not in seen]

    def _note_summary(self, path: str, summary: FileSummary) -> None:
        self.findings.summaries[path] = summary
        self.findings.problems.pop(path, None)

    async def _look_there(self, file: ManifestFileSchema) -> None:
        reader = RangeReader(file, self._context, self._allowance)
        await reader.open()
        self.findings.sizes[file.path] = reader.size
        async with self._alone:
            summary = await self._cache.inspect_remote(reader, path=file.path, size=reader.size)
        self._note_summary(file.path, summary)

    async def _guarded(self, file: ManifestFileSchema, look: Callable[[ManifestFileSchema], Awaitable[None]]) -> None:
        """Read if possible, and continue after any error."""
        if file.path not in self._kept and (self._context.offline or file.scheme not in {"http", "https"}):
            self.findings.problems[file.path] = "is known only once it is fetched"
            return
        try:
            await look(file)
        except SpentException as error:
            self.findings.problems.setdefault(file.path, str(error))
        except (ServiceException, OSError) as error:
            self.findings.note(file.path, error)

    def _read_here(self, file: ManifestFileSchema) -> None:
        try:
            self.findings.texts[file.path] = _read_text(self._kept[file.path], file.path)
        except OSError as error:
            self.findings.note(file.path, error)

    async def _read_text(self, file: ManifestFileSchema) -> None:
        self._allowance.spend()
        part = await self._context.read_range(file.url, offset=0, length=min(file.size or _MAX_TEXT, _MAX_TEXT) or 1)
        describes = file.path in describing_files([file.path])
        text = part.body if describes else await asyncio.to_thread(brief_structure, file.path, part.body)
        self.findings.texts[file.path] = text
        fault = fault_of(part.body, path=file.path, size=file.size or len(part.body))
        if fault is not None:
            self.findings.faults[file.path] = fault


def _read_text(place: Path, path: str) -> bytes:
    return read_describing(place, path) if path in describing_files([path]) else read_structure(place)


def inspect_here(
    files: Mapping[str, Path], cache: InspectionCache | None = None, *, names: Iterable[str] = ()
) -> Findings:
    """Return the facts from files on this machine, also from weights with other names. Blocks.

    Args:
        files: The path of each file.
        cache: Earlier inspections.
        names: The names of other files beside them.
    """
    findings = Findings(files=dict.fromkeys([*files, *names]))
    telling = describing_files(files).union(structural_files(files))
    for path, place in files.items():
        try:
            findings.files[path] = place.stat().st_size
            if path in telling:
                findings.texts[path] = _read_text(place, path)
        except OSError as error:
            findings.note(path, error)
    if cache is None:
        cache = InspectionCache()
        cache.quantization = quantization_of(findings.texts)
    for path, place in files.items():
        go_on()
        try:
            if is_program(findings.texts.get(path) or _head(place)):
                findings.programs.add(path)
            findings.summaries[path] = cache.inspect(place, name=path)
        except (ServiceException, OSError) as error:
            findings.note(path, error)
    return findings


def _head(place: Path) -> bytes:
    with place.open("rb") as file:
        return file.read(_MAX_HEAD)


def fault_of(head: bytes, *, path: str, size: int) -> FileFaultSchema | None:
    """Return the fault of a file with these first bytes, if it is not what its name says."""
    found = what_is_instead(head, path=path, size=size)
    return None if found is None else FileFaultSchema(path=path, kind=found.kind, reason=found.reason)
