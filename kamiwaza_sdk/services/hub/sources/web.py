"""``https://`` and ``http://``: one file, or several."""

from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from kamiwaza_sdk._addresses import kept_address, without_secrets
from kamiwaza_sdk._validation import check_path
from kamiwaza_sdk.services.download.exceptions import DownloadException
from kamiwaza_sdk.services.download.http.hosts import check_url, redact, without_query
from kamiwaza_sdk.services.hub.addresses import displayed, refuse_unless_address, suggested
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException, OfflineException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.sources.protocol import SourceContext


class WebSource:
    """Files of URLs. If a single URL has no file name, the server is asked for one before the transfer."""

    async def resolve(self, reference: str, context: SourceContext) -> ManifestSchema:
        """Return the one file: named by its URL, or, where that ends without an extension, as its server calls it.

        Raises:
            InvalidSourceException: It is no URL, or names no file.
            InvalidInputException: It cannot be fetched.
            InvalidPathException: The file's path cannot stand in a model.
            DownloadException: Its server does not answer now.
        """
        manifest = resolve_urls((reference,))
        if _has_extension(manifest.files[0].path):
            return manifest
        name = await (_name_recalled if context.offline else _name_told)(reference, context)
        return resolve_urls((reference,), name=name)


async def _name_told(url: str, context: SourceContext) -> str | None:
    """Return the name that a server gives a file, if any, and remember it.

    By a GET of one byte: HEAD is refused by many that sign their URLs for one method.
    """
    try:
        name = (await context.read_range(url, offset=0, length=1)).filename
    except DownloadException as error:
        if error.retryable:
            raise
        return None  # whether the file itself can be had, is for its transfer to say
    if name is not None:
        file = ManifestFileSchema(path=name, url=redact(check_url(url)))
        manifest = ManifestSchema(source=displayed(file.url), name=suggested(Path(name).stem), files=(file,))
        await context.remember(url, manifest)
    return name


async def _name_recalled(url: str, context: SourceContext) -> str | None:
    """Return the name that a server gave a file before, if any."""
    try:
        return (await context.recall(url)).files[0].path
    except OfflineException:
        return None


def _has_extension(path: str) -> bool:
    """Whether a name ends as those of files do, and not in a version such as 1.5."""
    return any(map(str.isalpha, PurePosixPath(path).suffix))


def resolve_urls(urls: Sequence[str], *, name: str | None = None) -> ManifestSchema:
    """Return the files of URLs, with paths relative to their common directory, or else their last segments.

    Args:
        urls: The URLs.
        name: The name that the server gives the only file. Default: the name in its URL.

    Raises:
        InvalidSourceException: There is none, one is no URL or names no file, or two have one name.
        InvalidInputException: One cannot be fetched.
        InvalidPathException: A file's path cannot stand in a model.
    """
    if not urls:
        raise InvalidSourceException("", "names no file; give at least one URL")
    for url in urls:
        refuse_unless_address(url)
    plain = [without_query(check_url(url)) for url in urls]
    base = _common_directory(plain)
    paths = [_path_below(base, url) for url in plain] if name is None else [name]
    _refuse_twins(paths)
    files = tuple(ManifestFileSchema(path=path, url=url) for path, url in zip(paths, urls, strict=True))
    if len(urls) == 1:
        return ManifestSchema(
            source=displayed(kept_address(plain[0])), name=suggested(Path(paths[0]).stem), files=files
        )
    source = kept_address(base) or f"{kept_address(plain[0])} and {len(urls) - 1} more"
    directory = suggested(unquote(base.rstrip("/").rpartition("/")[2]))
    return ManifestSchema(source=displayed(source), name=directory, files=files)


def _common_directory(urls: Sequence[str]) -> str:
    """Return the common directory of all URLs, with its slash; empty if their origins differ.

    Segments are compared as they are written: to S3, ``models//`` and ``./`` are names like any other.
    """
    split = [urlsplit(url) for url in urls]
    if len({(parts.scheme, parts.netloc) for parts in split}) > 1:
        return ""
    directories = [parts.path.split("/")[:-1] for parts in split]
    common = [same[0] for same in takewhile(lambda same: len(set(same)) == 1, zip(*directories, strict=False))]
    return f"{split[0].scheme}://{split[0].netloc}{'/'.join(common)}/"


def _path_below(base: str, url: str) -> str:
    path = unquote(without_secrets(url.removeprefix(base) if base else urlsplit(url).path.rpartition("/")[2]))
    if not path or path.endswith("/"):
        raise InvalidSourceException(
            kept_address(url), "names no file: it ends with a slash; give the address of a file"
        )
    return check_path(path)


def _refuse_twins(paths: list[str]) -> None:
    path, count = Counter(paths).most_common(1)[0]
    if count > 1:
        reason = f"is the name of {count} of the files; fetch them separately, or from one directory"
        raise InvalidSourceException(path, reason)
