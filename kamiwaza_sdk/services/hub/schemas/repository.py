"""What a search at a hub finds."""

from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

__all__ = ["RepositorySchema"]


class RepositorySchema(BaseModel):
    """A repository, as its hub describes it. What the hub does not tell is `None`, and what it counts not is 0.

    Attributes:
        name: ``org/model``.
        source: What `fetch` takes, as long as the hub is the configured one.
        revision: The commit that its main branch is at.
        author: Who made it.
        task: Such as ``text-generation``.
        library: Such as ``transformers``.
        license: Such as ``apache-2.0``.
        tags: What the hub files it under.
        downloads: How often it was downloaded lately, as the hub counts.
        likes: How many like it.
        private: Whether the hub shows it to some only.
        gated: Whether its files are brought only to who has accepted its conditions.
        created_at: When it was made.
        modified_at: When it was last changed.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    name: str
    source: str
    revision: str | None = None
    author: str | None = None
    task: str | None = None
    library: str | None = None
    license: str | None = None
    tags: tuple[str, ...] = ()
    downloads: int = 0
    likes: int = 0
    private: bool = False
    gated: bool = False
    created_at: datetime | None = None
    modified_at: datetime | None = None
