"""``https://`` and ``http://``: one file, or several."""

from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kamiwaza_sdk._validation import check_path
from kamiwaza_sdk.services.download.urls import check_url, redact
from kamiwaza_sdk.services.hub.addresses import displayed, refuse_unless_address, suggested
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.sources.context import SourceContext

__all__ = ["WebSource", "resolve_urls"]


class WebSource:
    """Files behind URLs. Nothing is asked of their servers before they travel."""

    async def resolve(self, reference: str, context: SourceContext) -> ManifestSchema:
        """Return the one file."""
        return resolve_urls((reference,))


def resolve_urls(urls: Sequence[str]) -> ManifestSchema:
    """Return the files behind URLs, named from the directory that all lie in, or else by their last segments.

    Raises:
        InvalidSourceException: There is none, one is no URL or names no file, or two have one name.
        InvalidUrlException: One cannot be fetched.
        InvalidPathException: A file's path cannot stand in a model.
    """
    if not urls:
        raise InvalidSourceException("", "names no file; give at least one URL")
    for url in urls:
        refuse_unless_address(url)
    plain = [redact(check_url(url)) for url in urls]
    base = _common_directory(plain)
    paths = [_path_below(base, url) for url in plain]
    _refuse_twins(paths)
    files = tuple(ManifestFileSchema(path=path, url=url) for path, url in zip(paths, urls, strict=True))
    if len(urls) == 1:
        return ManifestSchema(source=displayed(plain[0]), name=suggested(Path(paths[0]).stem), files=files)
    source = base or f"{plain[0]} and {len(urls) - 1} more"
    name = suggested(unquote(base.rstrip("/").rpartition("/")[2]))
    return ManifestSchema(source=displayed(source), name=name, files=files)


def _common_directory(urls: Sequence[str]) -> str:
    """Return the directory that all URLs lie in, with its slash; empty where they have no origin in common.

    Segments are compared as they are written: to S3, ``models//`` and ``./`` are names like any other.
    """
    split = [urlsplit(url) for url in urls]
    if len({(parts.scheme, parts.netloc) for parts in split}) > 1:
        return ""
    directories = [parts.path.split("/")[:-1] for parts in split]
    common = [same[0] for same in takewhile(lambda same: len(set(same)) == 1, zip(*directories, strict=False))]
    return f"{split[0].scheme}://{split[0].netloc}{'/'.join(common)}/"


def _path_below(base: str, url: str) -> str:
    path = unquote(url.removeprefix(base) if base else urlsplit(url).path.rpartition("/")[2])
    if not path or path.endswith("/"):
        raise InvalidSourceException(url, "names no file: it ends with a slash; give the address of a file")
    return check_path(path)


def _refuse_twins(paths: list[str]) -> None:
    path, count = Counter(paths).most_common(1)[0]
    if count > 1:
        reason = f"is the name of {count} of the files; fetch them separately, or from one directory"
        raise InvalidSourceException(path, reason)
