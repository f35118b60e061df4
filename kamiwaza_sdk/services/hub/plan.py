"""Planning: the files of a source, which of them are here, their facts, the variant that fits, and violations."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from kamiwaza_sdk._validation import constructed
from kamiwaza_sdk.formats.exceptions import UnknownVariantException
from kamiwaza_sdk.formats.kinds import named_format
from kamiwaza_sdk.formats.layouts.choices import files_of_variant, first_files, loaded_files
from kamiwaza_sdk.formats.licences import all_of, is_licence_file
from kamiwaza_sdk.formats.metadata import CONFIGURATIONS
from kamiwaza_sdk.formats.schemas import LayoutSchema, RepositoryDetailsSchema, VariantSchema
from kamiwaza_sdk.services.hub.cache import KeptFiles
from kamiwaza_sdk.services.hub.inspection import Findings, Inspection, inspect_here
from kamiwaza_sdk.services.hub.policy import facts_of, subject_of, violations_of
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.schemas.plan import PlanFileSchema, PlanSchema
from kamiwaza_sdk.services.hub.schemas.policy import ViolationSchema
from kamiwaza_sdk.services.hub.selection import left_out_as
from kamiwaza_sdk.services.hub.sources import by_content
from kamiwaza_sdk.services.hub.sources.protocol import SourceContext
from kamiwaza_sdk.services.hub.variants import Choice, Chooser, Question
from kamiwaza_sdk.services.storage.services import StorageService

#: How many requests planning makes besides those that tell which files there are: of large repositories, fewer.
_MOST_REQUESTS: Final = 32
_MANY_FILES: Final = 100
_MOST_REQUESTS_OF_MANY: Final = 2
#: How many of these go to texts that a policy is about.
_MOST_TEXTS: Final = 8
#: Of how many variants headers are read where there is no default.
_MOST_WITHOUT_DEFAULT: Final = 2
_FIELDS: Final = set(PlanFileSchema.model_fields)
_NOT_THERE: Final = "is not there, and the variant can be loaded without it"


async def make_plan(
    manifest: ManifestSchema, question: Question, context: SourceContext, storage: StorageService
) -> PlanSchema:
    """Return the plan.

    Raises:
        NothingFitsException: No variant does.
        UnknownVariantException: There is no variant of that name.
    """
    planning = await asyncio.to_thread(_Planning.of, manifest, question, context, storage)
    return await planning.run()


def of_variant(
    manifest: ManifestSchema,
    variant: str | None,
    findings: Findings | None = None,
    *,
    missing: Mapping[str, int | None] = MappingProxyType({}),
) -> ManifestSchema:
    """Return the files of a variant. Blocks.

    Args:
        manifest: All files.
        variant: The name of the variant.
        findings: The facts about the files. Default: they are on this machine, and are read.
        missing: The sizes of files of the source that are missing. Those that the variant does not need are left out.

    Raises:
        UnknownVariantException: There is no variant of that name, or not all of what loading it takes.
    """
    if findings is None:
        here = {file.path: place for file in manifest.files if (place := file.local) is not None}
        findings = inspect_here(here, names=missing)
        findings.files |= missing
    findings.source = manifest.source
    choice = Chooser(findings.repository(), Question.of(variant=variant), manifest.source).choice()
    if lacking := sorted(missing.keys() & loaded_files(choice.layout, choice.variant, choice.companions)):
        whole = (one.name for one in choice.layout.variants if missing.keys().isdisjoint(one.files))
        raise UnknownVariantException(
            variant=choice.variant.name, source=manifest.source, variants=whole, missing=lacking
        )
    wanted = files_of_variant(choice.layout, choice.variant, choice.companions, findings.files)
    left_out = tuple(left_out_as(path, _NOT_THERE) for path in sorted(missing.keys() & wanted))
    files = tuple(file for file in manifest.files if file.path in wanted)
    return manifest.model_copy(update={"files": files, "left_out": (*manifest.left_out, *left_out)})


def _here(files: Sequence[ManifestFileSchema], storage: StorageService) -> dict[str, Path]:
    """Return the paths of the files on this machine. Blocks."""
    local = [file for file in files if file.url.startswith("file://")]
    here = {file.path: place for file in local if (place := file.local) is not None}
    return here | {path: blob.path for path, blob in KeptFiles(storage).certain(files).items()}


class _Planning:
    def __init__(
        self, manifest: ManifestSchema, question: Question, inspection: Inspection, kept: frozenset[str]
    ) -> None:
        self._manifest = manifest
        self._question = question
        self._inspection = inspection
        self._kept = kept
        self._by_path = {file.path: file for file in manifest.files}

        self._kinds = {file.path: named_format(file.path) for file in manifest.files}
        self._asked_for = self._texts_asked_for()

    @classmethod
    def of(
        cls, manifest: ManifestSchema, question: Question, context: SourceContext, storage: StorageService
    ) -> "_Planning":
        """Return the planner, with the files on this machine. Blocks."""
        kept = _here(manifest.files, storage)
        requests = _MOST_REQUESTS_OF_MANY if len(manifest.files) > _MANY_FILES else _MOST_REQUESTS
        inspection = Inspection(context, kept, requests=requests, source=manifest.source)
        return cls(manifest, question, inspection, frozenset(kept))

    async def run(self) -> PlanSchema:
        await self._inspection.describe(self._manifest.files, remote=not self._is_gguf, texts=self._asked_for)
        choice = await self._choose()
        if choice is None:
            await self._look_at_default()
        files = self._manifest.files if choice is None else await asyncio.to_thread(self._brought, choice)
        await self._inspection.look_into_others(files)
        return await asyncio.to_thread(self._plan, files, choice)

    def _texts_asked_for(self) -> frozenset[str]:
        """Return the texts that the policy needs, so that its verdict is the same before and after the transfer."""
        policy = self._question.policy
        if policy is None:
            return frozenset()
        licences, code = policy.licenses is not None, policy.remote_code is False
        paths = (file.path for file in self._manifest.files)
        asked = [path for path in paths if (licences and is_licence_file(path)) or (code and path in CONFIGURATIONS)]
        return frozenset(asked[:_MOST_TEXTS])

    @property
    def _is_gguf(self) -> bool:
        """Whether all weights are GGUF files, whose headers contain the facts of a configuration."""
        kinds = self._kinds.values()
        return "gguf" in kinds and "safetensors" not in kinds

    async def _choose(self) -> Choice | None:
        """Return the wanted variant, or the largest that fits, after reading its headers."""
        if self._question.fits is None and self._question.variant is None:
            return None
        chooser = await asyncio.to_thread(self._chooser)
        wanted = chooser.likely
        while wanted is not None:
            before = len(self._inspection.findings.summaries)
            await self._look_into(wanted)
            chooser = await asyncio.to_thread(self._chooser)
            if chooser.likely == wanted or len(self._inspection.findings.summaries) == before:
                break  # its own header has said so, or nothing more can be read
            wanted = chooser.likely
        if self._question.fits is not None:
            await self._inspection.glance_at(await asyncio.to_thread(self._firsts))
        return await asyncio.to_thread(lambda: self._chooser().choice())

    def _chooser(self) -> Chooser:
        return Chooser(self._inspection.findings.repository(), self._question, self._manifest.source)

    async def _look_into(self, variant: VariantSchema) -> None:
        paths = [path for path in variant.files if path in self._by_path]
        if len(self._by_path) > _MANY_FILES:
            paths = [path for path in paths if path in self._kept] + paths[:1]
        await self._inspection.look_into([self._by_path[path] for path in dict.fromkeys(paths)])

    def _firsts(self) -> list[ManifestFileSchema]:
        """Return the files that show whether each variant is valid, so that only valid ones are offered."""
        variants = self._inspection.findings.layout.variants
        firsts = dict.fromkeys(path for one in variants for path in first_files(one))
        return [self._by_path[path] for path in firsts if path in self._by_path]

    async def _look_at_default(self) -> None:
        """Read the headers of the default, or else of the first variant; then of all local files.

        If there are few files, those of other variants follow, except GGUF, whose headers are long.
        """
        layout, others = await asyncio.to_thread(self._layout)
        default = None if layout.default is None else layout.variant(layout.default)
        largest = sorted(layout.variants, key=lambda one: (-(one.size or 0), one.name))
        for variant in [default] if default is not None else largest[:_MOST_WITHOUT_DEFAULT]:
            await self._look_into(variant)
        await self._inspection.look_into(others)

    def _layout(self) -> tuple[LayoutSchema, list[ManifestFileSchema]]:
        """Return the layout, and the files to read besides its default."""
        layout = self._inspection.findings.layout
        weights = [file for file in self._manifest.files if self._kinds[file.path]]
        left = {path for one in layout.variants if one.format == "gguf" for path in one.files}
        few = len(self._manifest.files) <= _MANY_FILES
        return layout, [file for file in weights if file.path in self._kept or (few and file.path not in left)]

    def _brought(self, choice: Choice) -> tuple[ManifestFileSchema, ...]:
        """Return the files of a choice, with those that belong to any variant."""
        wanted = files_of_variant(choice.layout, choice.variant, choice.companions, self._by_path)
        return tuple(file for file in self._manifest.files if file.path in wanted)

    def _plan(self, files: tuple[ManifestFileSchema, ...], choice: Choice | None) -> PlanSchema:
        findings = self._inspection.findings
        sized = tuple(
            file.model_copy(update={"size": findings.sizes[file.path]})
            if file.size is None and file.path in findings.sizes
            else file
            for file in files
        )
        manifest = self._manifest.model_copy(update={"files": sized})
        chooser = self._chooser()
        described = findings.described(None if choice is None else choice.variant.name)
        same = {other.path: names[0].path for names in by_content(sized) for other in names[1:]}
        known = self._files(sized, same)
        details = described.model_copy(update={"formats": _formats(known)})
        faults = findings.faults
        settled = chooser.settled(choice)
        return PlanSchema(
            manifest=manifest,
            files=known,
            details=details,
            variants=tuple(one.model_copy(update={"checked": findings.is_checked(one)}) for one in chooser.variants),
            choice=None if choice is None else choice.variant.name,
            companions=() if settled is None else chooser.companions(settled, choice),
            reason=None if choice is None else choice.reason,
            memory=None if settled is None else chooser.memory(settled, choice),
            violations=self._violations(manifest, known, details),
            faults=tuple(faults[file.path] for file in known if file.path in faults),
        )

    def _files(self, files: Iterable[ManifestFileSchema], same: Mapping[str, str]) -> tuple[PlanFileSchema, ...]:
        """Return the description of files: for most, the name and whether they are in the store."""
        told, kept, kinds = self._inspection.findings.told_of(), self._kept, self._kinds
        found = list[PlanFileSchema]()
        for file in files:
            path = file.path
            fields: dict[str, object] = {
                "path": path,
                "size": file.size,
                "kept": path in kept,
                "same_as": same.get(path),
                "format": kinds[path],
                "dtype": None,
                "verdict": None,
                "problem": None,
            }
            if path in told:
                fields |= self._told(path)
            found.append(constructed(PlanFileSchema, fields, _FIELDS))
        return tuple(found)

    def _told(self, path: str) -> dict[str, object]:
        findings = self._inspection.findings
        return {
            "format": findings.format(path),
            "dtype": findings.dtype(path),
            "verdict": findings.verdict(path),
            "problem": findings.problem(path) or findings.unread(path),
        }

    def _violations(
        self, manifest: ManifestSchema, files: Sequence[PlanFileSchema], details: RepositoryDetailsSchema
    ) -> tuple[ViolationSchema, ...]:
        if self._question.policy is None:
            return ()
        findings = self._inspection.findings
        subject = subject_of(
            findings,
            [
                facts_of(findings, file.path, file.size, known_format=file.format, has_digest=listed.has_digest)
                for file, listed in zip(files, manifest.files, strict=True)
            ],
            source=manifest.source,
            addresses=[file.url for file in manifest.files],
            hub=manifest.hub,
            licence=all_of(filter(None, (manifest.license, details.license))),
            final=all(file.path in self._kept for file in manifest.files),
        )
        return violations_of(subject, self._question.policy)


def _formats(files: Iterable[PlanFileSchema]) -> tuple[str, ...]:
    return tuple(sorted({file.format for file in files if file.format is not None}))
