"""Planning: what a source consists of, what of it is here, what it says, what fits, and what speaks against it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import TypeAdapter, ValidationError

from kamiwaza_sdk._settings import Size
from kamiwaza_sdk._validation import revalidated
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.formats._licences import all_of, is_licence_file
from kamiwaza_sdk.formats._remote_code import CONFIGURATIONS
from kamiwaza_sdk.formats.memory import estimate_memory, longest_context
from kamiwaza_sdk.formats.schemas import MemoryEstimateSchema, RepositoryDetailsSchema
from kamiwaza_sdk.services.hub._contents import by_content
from kamiwaza_sdk.services.hub._inspection import Inspection
from kamiwaza_sdk.services.hub._kept import KeptFiles
from kamiwaza_sdk.services.hub._quantizations import Offer, format_by_name, offers_of
from kamiwaza_sdk.services.hub._tables import shown_size
from kamiwaza_sdk.services.hub.exceptions import NothingFitsException
from kamiwaza_sdk.services.hub.policies import Known, Subject, objections_to
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.schemas.plan import PlanFileSchema, PlanSchema, QuantizationSchema
from kamiwaza_sdk.services.hub.schemas.policy import ObjectionSchema, Policy
from kamiwaza_sdk.services.hub.sources.context import SourceContext
from kamiwaza_sdk.services.storage.services import StorageService

__all__ = ["Question", "make_plan"]

#: How many requests planning makes besides those that tell which files there are: of large repositories, fewer.
_MOST_REQUESTS: Final = 32
_MANY_FILES: Final = 100
_MOST_REQUESTS_OF_MANY: Final = 2
#: How many of these go to texts that a policy is about.
_MOST_TEXTS: Final = 8
#: The context that memory is estimated for, unless one is given or the model's own is shorter.
_USUAL_CONTEXT: Final = 8192
_SIZE: Final = TypeAdapter(Size)


@dataclass(frozen=True, slots=True)
class Question:
    """What a plan is to answer, checked.

    Raises:
        InvalidInputException: An argument is of a wrong kind.
    """

    fits: int | None
    context_length: int | None
    cache_dtype: str
    policy: Policy | None

    @classmethod
    def of(cls, *, fits: object, context_length: object, cache_dtype: str, policy: Policy | None) -> "Question":
        """Return what was asked, or refuse it before anything else is."""
        if context_length is not None and (type(context_length) is not int or context_length < 0):
            raise InvalidInputException("context_length", f"is {context_length!r}; give tokens, 0 or more, or None")
        estimate_memory(RepositoryDetailsSchema(size=0), context_length=0, cache_dtype=cache_dtype)
        checked = None if policy is None else revalidated(policy, Policy, "policy")
        return cls(_size(fits), context_length, cache_dtype, checked)


def _size(fits: object) -> int | None:
    if fits is None:
        return None
    try:
        return _SIZE.validate_python(fits)
    except ValidationError:
        reason = f"is {fits!r}; give a number of bytes, or a text such as '8 GiB'"
        raise InvalidInputException("fits", reason) from None


async def make_plan(
    manifest: ManifestSchema, question: Question, context: SourceContext, storage: StorageService
) -> PlanSchema:
    """Return the plan.

    Raises:
        NothingFitsException: No quantization does.
    """
    kept = await asyncio.to_thread(_here, manifest.files, storage)
    requests = _MOST_REQUESTS_OF_MANY if len(manifest.files) > _MANY_FILES else _MOST_REQUESTS
    inspection = Inspection(context, kept, requests=requests)
    planning = await asyncio.to_thread(_Planning, manifest, question, inspection, frozenset(kept))
    return await planning.run()


def _here(files: Sequence[ManifestFileSchema], storage: StorageService) -> dict[str, Path]:
    """Return where those files lie that are on this machine. Blocks."""
    here = {file.path: file.local for file in files if file.local is not None}
    return here | {path: blob.path for path, blob in KeptFiles(storage).certain(files).items()}


class _Choice(NamedTuple):
    offer: Offer
    reason: str


class _Planning:
    def __init__(
        self, manifest: ManifestSchema, question: Question, inspection: Inspection, kept: frozenset[str]
    ) -> None:
        self._manifest = manifest
        self._question = question
        self._inspection = inspection
        self._kept = kept
        self._offers = offers_of(manifest.files)
        self._described: tuple[int, RepositoryDetailsSchema] | None = None

    async def run(self) -> PlanSchema:
        texts, is_gguf = await asyncio.to_thread(lambda: (self._asked_for(), self._is_gguf()))
        await self._inspection.describe(self._manifest.files, remote=not is_gguf, texts=texts)
        choice = await self._choose()
        if choice is None:
            await self._inspection.look_into(await asyncio.to_thread(self._telling))
        files = self._manifest.files if choice is None else await asyncio.to_thread(self._left, choice.offer)
        await self._inspection.look_into_others(files)
        return await asyncio.to_thread(self._plan, files, choice)

    def _asked_for(self) -> frozenset[str]:
        """Return the texts that the policy is about, so that it says the same before and after they are fetched."""
        policy = self._question.policy
        licences = policy is not None and policy.licenses is not None
        code = policy is not None and policy.remote_code is False
        paths = (file.path for file in self._manifest.files)
        asked = [path for path in paths if (licences and is_licence_file(path)) or (code and path in CONFIGURATIONS)]
        return frozenset(asked[:_MOST_TEXTS])

    def _is_gguf(self) -> bool:
        """Return whether the weights to choose from are GGUF, whose headers say what else a configuration does."""
        return any(format_by_name(file.path) == "gguf" for offer in self._offers for file in offer.files)

    async def _choose(self) -> _Choice | None:
        """Return the largest model that fits, its headers read."""
        limit = self._question.fits
        if limit is None:
            return None
        if not self._offers:
            raise InvalidInputException("fits", f"cannot be told: {self._manifest.source} has no files of weights")
        likely = next((offer for offer in self._offers if offer.size <= limit), self._offers[-1])
        await self._inspection.look_into(likely.files)
        # Its own header may say otherwise: look at that, too.
        while (chosen := await asyncio.to_thread(self._largest, limit)) != likely:
            await self._inspection.look_into(chosen.files)
            likely = chosen
        return _Choice(chosen, await asyncio.to_thread(self._reason, chosen, limit))

    def _largest(self, limit: int) -> Offer:
        for offer in self._offers:
            if _total(self._memory(offer)) <= limit:
                return offer
        raise NothingFitsException(
            source=self._manifest.source,
            limit=limit,
            needed={offer.name: _total(self._memory(offer)) for offer in self._offers},
            context_length=self._memory(self._offers[-1]).context_length,
            longest_context=self._longest(self._offers[-1], limit),
        )

    def _longest(self, offer: Offer, limit: int) -> int | None:
        """Return the longest context with which a model would fit, `None` where none does or that is not known."""
        memory = self._memory(offer)
        if not memory.cache_per_token:
            return None
        return longest_context(self._sized(offer), limit, cache_dtype=self._question.cache_dtype) or None

    def _reason(self, chosen: Offer, limit: int) -> str:
        memory = self._memory(chosen)
        cache = f"{shown_size(memory.cache or 0)} of cache for {memory.context_length:,} tokens"
        parts = f"{shown_size(memory.weights)} of weights and {cache if memory.cache else 'no cache that is known of'}"
        larger = [offer for offer in self._offers if offer.size > chosen.size]
        why_not = f"; {larger[-1].name} would take {shown_size(self._memory(larger[-1]).total)}" if larger else ""
        return f"it is the largest that fits in {shown_size(limit)}: {parts}{why_not}"

    def _telling(self) -> list[ManifestFileSchema]:
        """Return the files whose headers are to be read: of several models, those of the largest, and what is here."""
        several = len(self._offers) > 1
        offered = {file.path for offer in self._offers[1:] for file in offer.files} if several else frozenset[str]()
        files = [file for file in self._manifest.files if file.path not in offered or file.path in self._kept]
        weights = [file for file in files if format_by_name(file.path)]
        if len(self._manifest.files) > _MANY_FILES and weights:
            here = [file for file in weights if file.path in self._kept]
            first = [file for offer in self._offers[:1] for file in offer.files[:1]]
            weights = [*here, *first]
        return list(dict.fromkeys(weights))

    def _left(self, chosen: Offer) -> tuple[ManifestFileSchema, ...]:
        """Return the files without the weights that were not chosen; what goes with any of them stays."""
        others = {file.path for offer in self._offers for file in offer.files} - {file.path for file in chosen.files}
        kind = format_by_name(chosen.files[0].path)
        return tuple(
            file
            for file in self._manifest.files
            if file.path not in others and format_by_name(file.path) in {None, kind}
        )

    def _details(self, offer: Offer | None) -> RepositoryDetailsSchema:
        weights = [file.path for file in offer.files] if offer is not None else []
        return self._inspection.findings.described(weights)

    @property
    def _known(self) -> RepositoryDetailsSchema:
        """What the headers say that have been read: of the cache, one of several models says the same as another."""
        schemas = self._inspection.findings.schemas
        if self._described is None or self._described[0] != len(schemas):
            offered = {file.path for offer in self._offers for file in offer.files}
            described = self._inspection.findings.described([path for path in schemas if path in offered])
            self._described = len(schemas), described
        return self._described[1]

    def _memory(self, offer: Offer, details: RepositoryDetailsSchema | None = None) -> MemoryEstimateSchema:
        details = self._known if details is None else details
        sized = self._sized(offer, details)
        wanted = self._question.context_length
        usual = min(_USUAL_CONTEXT, details.context_length or _USUAL_CONTEXT)
        context = 0 if details.attention is None else usual if wanted is None else wanted
        return estimate_memory(sized, context_length=context, cache_dtype=self._question.cache_dtype)

    def _sized(self, offer: Offer, details: RepositoryDetailsSchema | None = None) -> RepositoryDetailsSchema:
        return (self._known if details is None else details).model_copy(update={"size": offer.size})

    def _plan(self, files: tuple[ManifestFileSchema, ...], choice: _Choice | None) -> PlanSchema:
        findings = self._inspection.findings
        sized = tuple(
            file.model_copy(update={"size": findings.sizes[file.path]})
            if file.size is None and file.path in findings.sizes
            else file
            for file in files
        )
        manifest = self._manifest.model_copy(update={"files": sized})
        by_path = {file.path: file for file in sized}
        self._offers = tuple(_sized(offer, by_path) for offer in self._offers)
        chosen = choice.offer if choice is not None else self._offers[0] if self._offers else None
        details = self._details(chosen)
        same = {other.path: names[0].path for names in by_content(sized) for other in names[1:]}
        known = tuple(self._file(file, same.get(file.path)) for file in sized)
        settled = chosen is not None and (choice is not None or len(self._offers) == 1)
        faults = self._inspection.findings.faults
        return PlanSchema(
            manifest=manifest,
            files=known,
            details=details.model_copy(update={"formats": _formats(known)}),
            quantizations=tuple(self._offered(offer) for offer in self._offers),
            choice=None if choice is None else choice.offer.name,
            reason=None if choice is None else choice.reason,
            memory=self._memory(chosen, details) if chosen is not None and settled and _is_sized(chosen) else None,
            objections=self._objections(manifest, known, details),
            faults=tuple(faults[file.path] for file in known if file.path in faults),
        )

    def _offered(self, offer: Offer) -> QuantizationSchema:
        return QuantizationSchema(
            name=offer.name,
            files=tuple(file.path for file in offer.files),
            size=offer.size,
            memory=self._memory(offer) if _is_sized(offer) else None,
        )

    def _file(self, file: ManifestFileSchema, same_as: str | None) -> PlanFileSchema:
        findings = self._inspection.findings
        return PlanFileSchema(
            path=file.path,
            size=file.size,
            kept=file.path in self._kept,
            same_as=same_as,
            format=findings.format(file.path),
            dtype=findings.dtype(file.path),
            verdict=findings.verdict(file.path),
            problem=findings.problem(file.path) or findings.unread(file.path),
        )

    def _objections(
        self, manifest: ManifestSchema, files: Iterable[PlanFileSchema], details: RepositoryDetailsSchema
    ) -> tuple[ObjectionSchema, ...]:
        if self._question.policy is None:
            return ()
        digests = {file.path: file.has_digest for file in manifest.files}
        problems, unread = self._inspection.findings.problems, self._inspection.findings.unread
        known = [
            Known(
                file.path,
                file.size,
                file.format,
                file.verdict,
                digests[file.path],
                problems.get(file.path),
                unread(file.path),
            )
            for file in files
        ]
        subject = Subject(
            source=manifest.source,
            addresses=[file.url for file in manifest.files],
            hub=manifest.hub,
            license=all_of(filter(None, (manifest.license, details.license))),
            files=known,
            remote_code=self._inspection.findings.remote_code(),
            final=all(file.path in self._kept for file in manifest.files),
        )
        return objections_to(subject, self._question.policy)


def _total(memory: MemoryEstimateSchema) -> int:
    """Return what is known of what a model takes."""
    return memory.weights + (memory.cache or 0) + (memory.state or 0)


def _sized(offer: Offer, by_path: Mapping[str, ManifestFileSchema]) -> Offer:
    return Offer(offer.name, tuple(by_path.get(file.path, file) for file in offer.files))


def _is_sized(offer: Offer) -> bool:
    return all(file.size is not None for file in offer.files)


def _formats(files: Iterable[PlanFileSchema]) -> tuple[str, ...]:
    return tuple(sorted({file.format for file in files if file.format is not None}))
