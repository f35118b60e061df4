"""``hf://``: a repository of a Hugging-Face-compatible hub, pinned to a commit.

What is asked, and what it says, is the hub's HTTP API as ``huggingface_hub`` uses it
(https://huggingface.co/docs/hub/api): ``/api/models/{repository}/revision/{revision}`` tells the commit,
``/api/models/{repository}/tree/{commit}`` the files, and ``/{repository}/resolve/{commit}/{path}`` brings one.
"""

import asyncio
import logging
import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote

from pydantic import FailFast, TypeAdapter

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk._validation import validated_together
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.hub.addresses import suggested
from kamiwaza_sdk.services.hub.exceptions import InvalidAnswerException, InvalidSourceException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.sources.context import SourceContext
from kamiwaza_sdk.services.hub.sources.hub_api import Entry, Info, described_by, parsed, parsed_list, raise_for_status
from kamiwaza_sdk.services.hub.sources.references import HuggingFaceReference

if TYPE_CHECKING:
    from kamiwaza_sdk.services.download.schemas import ResponseSchema


_logger: Final = logging.getLogger(__name__)
#: How many files and directories a listing may have: what one holds in memory.
MAX_ENTRIES: Final = 100_000
#: What is told of a repository: its hundred thousand files take less.
_MAX_INFO: Final = 8 * 1024**2
_HUGGING_FACE: Final = "https://huggingface.co"
#: What stands in a URL as it is.
_UNQUOTED: Final = re.compile(r"[A-Za-z0-9_./-]*")
_INFO: Final = TypeAdapter(Info)
#: Of what is wrong, the first thing is told: an error for each of millions of entries would take gigabytes.
_TREE: Final = TypeAdapter(Annotated[list[Entry], FailFast()])


class HuggingFaceSource:
    """The files of a repository at a commit."""

    async def resolve(self, reference: str, context: SourceContext) -> ManifestSchema:
        """Return the files as the hub lists them: one request for the commit, and one for each page of the listing.

        A renamed repository is followed, and the manifest carries the name that it has by now.

        Raises:
            InvalidSourceException: The reference is none, or the repository is empty or too large.
            RepositoryNotFoundException: There is no such repository, or not for this token.
            RepositoryPrivateException: The hub does not say whether there is.
            RepositoryGatedException: Its conditions were not accepted.
            RepositoryRenamedException: It has become a repository of another kind.
            RevisionNotFoundException: It has no such branch, tag or commit.
            InvalidAnswerException: The hub's answer cannot be used.
            OfflineException: No connection may be opened, and it was not resolved before.
            DownloadException: The hub does not answer.
        """
        wanted = HuggingFaceReference.parse(reference)
        endpoint = context.config.hf_endpoint
        if context.offline:
            return await context.recall(_key(wanted, endpoint))
        info, actual = await _info(wanted, context)
        if actual != wanted:
            _logger.warning("%s was renamed to %s, which is brought", wanted.repository, actual.repository)
        pinned = actual.at(info.sha)
        files = await _files(pinned, context)
        made = partial(manifest_of, pinned, files, endpoint, licence=info.license, task=info.task, info=info)
        manifest = await asyncio.to_thread(made)
        await context.remember({_key(name, endpoint) for name in (wanted, wanted.at(info.sha), pinned)}, manifest)
        return manifest


def _hub_name(endpoint: str) -> str:
    return "huggingface" if endpoint == _HUGGING_FACE else endpoint.partition("://")[2]


def _key(reference: HuggingFaceReference, endpoint: str) -> str:
    return f"{reference} of {endpoint}"


async def _info(wanted: HuggingFaceReference, context: SourceContext) -> tuple[Info, HuggingFaceReference]:
    """Return what the hub tells of a repository, and the name that it has there."""
    url = f"{context.config.hf_endpoint}/api/{wanted.kind}/{wanted.name}/revision/{quote(wanted.revision, safe='')}"
    response = await context.get(url, max_size=_MAX_INFO)
    _refuse_unless_answered(response, wanted, url, context)
    info = await asyncio.to_thread(parsed, _INFO, response, url=url, what="description of a repository")
    return info, described_by(info, wanted, response, url=url)


async def _files(pinned: HuggingFaceReference, context: SourceContext) -> tuple[ManifestFileSchema, ...]:
    endpoint = context.config.hf_endpoint
    url = f"{endpoint}/api/{pinned.kind}/{pinned.name}/tree/{pinned.revision}?recursive=true&expand=false"
    base = f"{endpoint}/{pinned.repository}/resolve/{pinned.revision}"
    files: dict[str, ManifestFileSchema] = {}
    count = 0
    async for page in context.pages(url):
        _refuse_unless_answered(page, pinned, url, context)
        # In a thread: a page may have 16 MiB.
        count += await asyncio.to_thread(_add, files, page, base, url=url, most=MAX_ENTRIES - count)
        if count > MAX_ENTRIES:
            reason = f"has over {MAX_ENTRIES} files and directories; fetch some by their https:// addresses"
            raise InvalidSourceException(str(pinned), reason)
    if not files:
        raise InvalidSourceException(str(pinned), "has no files; choose another revision")
    return tuple(files.values())


def _refuse_unless_answered(
    response: "ResponseSchema", wanted: HuggingFaceReference, url: str, context: SourceContext
) -> None:
    page = f"{context.config.hf_endpoint}/{wanted.repository}"
    raise_for_status(response, wanted, url=url, page=page, authenticated=context.config.hf_token is not None)


def _add(files: dict[str, ManifestFileSchema], page: "ResponseSchema", base: str, *, url: str, most: int) -> int:
    """Add the files of a page, unless it has more entries than it may, and return how many those are. Blocks."""
    entries = parsed_list(_TREE, page, url=url, what="listing of files", most=most)
    rows = [_row(entry, base) for entry in entries if entry.type == "file"] if len(entries) <= most else []
    try:
        found = validated_together(ManifestFileSchema, rows)
    except InvalidInputException as error:
        raise InvalidAnswerException(url=redact_text(url), reason=f"lists what cannot be kept: {error}") from error
    for file in found:
        if file.path in files:
            raise InvalidAnswerException(url=redact_text(url), reason=f"lists {file.path!a} twice")
        files[file.path] = file
    return len(entries)


def _row(entry: Entry, base: str) -> dict[str, object]:
    path, lfs = entry.path, entry.lfs
    url = f"{base}/{path if _UNQUOTED.fullmatch(path) else quote(path, errors='surrogatepass')}"
    if lfs is not None:
        return {"path": path, "url": url, "size": lfs.size, "sha256": lfs.oid}
    # What Xet has chunked is no blob of git's; by its plain route it comes whole all the same.
    return {"path": path, "url": url, "size": entry.size, "git_blob_id": entry.oid if entry.xet_hash is None else None}


def manifest_of(
    pinned: HuggingFaceReference,
    files: tuple[ManifestFileSchema, ...],
    endpoint: str,
    *,
    licence: str | None,
    task: str | None,
    info: Info | None = None,
) -> ManifestSchema:
    """Return the manifest of a repository at a commit, with what its hub told of it, if that was asked."""
    return ManifestSchema(
        source=str(pinned),
        name=suggested(pinned.name),
        files=files,
        revision=pinned.revision,
        repository=pinned.repository,
        hub=_hub_name(endpoint),
        author=(info and info.author) or pinned.name.rpartition("/")[0] or None,
        license=licence,
        task=task,
        tags=info.tags if info else (),
        gated=info is not None and info.is_gated,
        private=info is not None and info.private,
        page=f"{endpoint}/{pinned.repository}",
    )
