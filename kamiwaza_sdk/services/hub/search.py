"""Searching a Hugging-Face-compatible hub, page by page."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias, get_args
from urllib.parse import urlencode

from pydantic import BeforeValidator, FailFast, Field, TypeAdapter

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk._validation import check_text, shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.hub.config import checked_endpoint
from kamiwaza_sdk.services.hub.exceptions import InvalidAnswerException
from kamiwaza_sdk.services.hub.schemas.manifest import RepositorySchema
from kamiwaza_sdk.services.hub.sources.hugging_face import Described, parsed_list, word
from kamiwaza_sdk.services.hub.sources.protocol import SourceContext

#: What a search is sorted by, the greatest first.
RepositorySort: TypeAlias = Literal["created_at", "downloads", "last_modified", "likes", "trending_score"]
_SORTS: Final = {"created_at": "createdAt", "last_modified": "lastModified", "trending_score": "trendingScore"}
#: Without it, some of these are left out.
_EXPANDED: Final = (
    "author",
    "createdAt",
    "downloads",
    "gated",
    "lastModified",
    "library_name",
    "likes",
    "pipeline_tag",
    "private",
    "sha",
    "tags",
)
_PAGE: Final = 100
_MAX_PAGES: Final = 10_000
#: What a page may hold, whatever was asked for.
_MAX_PAGE: Final = 10_000
_OK: Final = 200


class _Found(Described):
    sha: str | None = None
    library: Annotated[str | None, BeforeValidator(word)] = Field(default=None, alias="library_name")
    downloads: int = 0
    likes: int = 0
    created_at: datetime | None = Field(default=None, alias="createdAt")
    modified_at: datetime | None = Field(default=None, alias="lastModified")

    def told(self) -> RepositorySchema:
        """Return the description of a repository."""
        return RepositorySchema(
            name=self.id,
            source=f"hf://{self.id}",
            revision=self.sha,
            author=self.author or self.id.rpartition("/")[0] or None,
            task=self.task,
            library=self.library,
            license=self.license,
            tags=self.tags,
            downloads=self.downloads,
            likes=self.likes,
            private=self.private,
            gated=self.is_gated,
            created_at=self.created_at,
            modified_at=self.modified_at,
        )


#: Only the first thing that is wrong is looked for, as in listings of files.
_FOUND: Final = TypeAdapter(Annotated[list[_Found], FailFast()])


def check_search(*, hub: object, sort: object, limit: object, **texts: object) -> None:
    """Check the arguments of a search.

    Raises:
        InvalidInputException: An argument is of a wrong kind.
    """
    for field, value in texts.items():
        if value is not None and not isinstance(value, str):
            raise InvalidInputException(field, f"is a {type(value).__name__}; give text")
        check_text(value or "", field=field)
    if sort is not None and sort not in get_args(RepositorySort):
        raise InvalidInputException("sort", f"is {shown(sort)}; known are {', '.join(get_args(RepositorySort))}")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise InvalidInputException("limit", f"is {limit!r}; give 1 or more, or None for all")
    if hub is not None:
        try:
            checked_endpoint(hub if isinstance(hub, str) else "")
        except ValueError as error:
            raise InvalidInputException("hub", str(error)) from None


async def find(
    context: SourceContext,
    query: str | None,
    *,
    hub: str | None,
    task: str | None,
    author: str | None,
    sort: RepositorySort | None,
    limit: int | None,
) -> AsyncIterator[RepositorySchema]:
    """Yield the models that are found; the next page is requested when it is needed."""
    asked = {"search": query, "pipeline_tag": task, "author": author, "sort": _SORTS.get(sort or "", sort)}
    given = [(name, value) for name, value in asked.items() if value]
    given += [("limit", str(min(limit or _PAGE, _PAGE))), *(("expand", name) for name in _EXPANDED)]
    endpoint = context.config.hf_endpoint if hub is None else checked_endpoint(hub)
    url = f"{endpoint}/api/models?{urlencode(given)}"
    left = limit
    async for page in context.pages(url, max_pages=_MAX_PAGES):
        if page.status != _OK:
            raise InvalidAnswerException(url=redact_text(url), reason=f"has the status {page.status}")
        listed = await asyncio.to_thread(
            parsed_list, _FOUND, page, url=url, what="list of repositories", most=_MAX_PAGE
        )
        for found in listed[:left]:
            yield found.told()
            left = None if left is None else left - 1
        if left == 0:
            return
