"""The repositories of a fake hub: what is committed in them, and how its API describes that."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Final, Literal, TypeAlias

from kamiwaza_sdk.testing.bodies import Body

__all__ = ["Commit", "Entry", "Kind", "Repository"]

#: What a repository holds.
Kind: TypeAlias = Literal["model", "dataset", "space"]
_PIECE: Final = 1024**2
_BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)


def _moment(hours: int) -> str:
    """Return when something was, as the API writes it."""
    return (_BEGINNING + timedelta(hours=hours)).isoformat().replace("+00:00", ".000Z")


def _git_blob_id(body: Body) -> str:
    digest = hashlib.sha1(f"blob {body.size}\0".encode(), usedforsecurity=False)
    for start in range(0, body.size, _PIECE):
        digest.update(body.read(start, min(start + _PIECE, body.size)))
    return digest.hexdigest()


@dataclass(frozen=True)
class Entry:
    """A file of a commit: kept in git itself, or, large ones, in a storage of its own that git only points to (LFS)."""

    path: str
    body: Body
    oid: str
    sha256: str | None
    xet_hash: str | None

    @classmethod
    def of(cls, path: str, body: Body, *, lfs: bool, xet: bool) -> "Entry":
        """Return a file as it is committed."""
        if not lfs:
            return cls(path, body, _git_blob_id(body), None, None)
        sha256 = body.sha256()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {body.size}\n".encode()
        oid = hashlib.sha1(f"blob {len(pointer)}\0".encode() + pointer, usedforsecurity=False).hexdigest()
        return cls(path, body, oid, sha256, hashlib.sha256(sha256.encode()).hexdigest() if xet else None)

    def described(self) -> dict[str, object]:
        """Return how a listing shows it."""
        shown: dict[str, object] = {"type": "file", "oid": self.oid, "size": self.body.size, "path": self.path}
        if self.sha256 is not None:
            shown["lfs"] = {"oid": self.sha256, "size": self.body.size, "pointerSize": 134}
        if self.xet_hash is not None:
            shown["xetHash"] = self.xet_hash
        return shown


@dataclass(frozen=True)
class Commit:
    """A state of a repository."""

    id: str
    entries: Mapping[str, Entry]
    parent: str
    number: int

    @classmethod
    def of(cls, entries: Sequence[Entry], *, parent: str, number: int) -> "Commit":
        """Return a commit, whose id follows from what is in it and what was before."""
        text = "".join(f"{entry.oid} {entry.path}\n" for entry in entries)
        name = hashlib.sha1(f"{parent}\n{text}".encode(), usedforsecurity=False).hexdigest()
        return cls(name, {entry.path: entry for entry in entries}, parent, number)

    @property
    def title(self) -> str:
        """What its author says of it."""
        return f"Commit {self.number}"

    @property
    def date(self) -> str:
        """When it was made, an hour after the one before."""
        return _moment(self.number)

    def described(self) -> dict[str, object]:
        """Return how a listing of commits shows it."""
        author = {"user": "author", "avatar": "https://example.org/author.svg"}
        return {"id": self.id, "title": self.title, "message": "", "authors": [author], "date": self.date}

    def found(self, paths: Sequence[str]) -> list[dict[str, object]]:
        """Return the files and directories of these paths, as a listing shows them; what is not there is left out."""
        known = {str(shown["path"]): shown for shown in self.tree("", recursive=True)}
        return [known[path] for path in dict.fromkeys(path.strip("/") for path in paths) if path in known]

    def tree(self, below: str, *, recursive: bool) -> list[dict[str, object]]:
        """Return the listing of a directory: what lies in it, or everything below it."""
        return [shown for _, shown in sorted(self._tree(f"{below}/" if below else "", recursive=recursive).items())]

    def _tree(self, prefix: str, *, recursive: bool) -> dict[str, dict[str, object]]:
        shown: dict[str, dict[str, object]] = {}
        for path, entry in self.entries.items():
            if not path.startswith(prefix):
                continue
            parts = path.removeprefix(prefix).split("/")
            for depth in range(1, len(parts)):
                directory = prefix + "/".join(parts[:depth])
                if recursive or depth == 1:
                    shown[directory] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": directory}
            if recursive or len(parts) == 1:
                shown[path] = entry.described()
        return shown


@dataclass
class Repository:
    """A repository, its commits, and what its hub says of it."""

    name: str
    kind: Kind
    number: int
    private: bool = False
    gated: bool = False
    license: str | None = None
    task: str | None = None
    tags: tuple[str, ...] = ()
    downloads: int = 0
    likes: int = 0
    commits: dict[str, Commit] = field(default_factory=dict[str, Commit])
    refs: dict[str, str] = field(default_factory=dict[str, str])
    tag_names: set[str] = field(default_factory=set[str])

    def commit(self, files: Mapping[str, Body], *, branch: str, lfs: Sequence[str], xet: bool) -> str:
        """Make these files what a branch has, and return the commit."""
        large = [path for path in files if any(fnmatchcase(path, pattern) for pattern in lfs)]
        entries = [Entry.of(path, body, lfs=path in large, xet=xet) for path, body in sorted(files.items())]
        commit = Commit.of(entries, parent=self.refs.get(branch, ""), number=len(self.commits) + 1)
        self.commits[commit.id] = commit
        self.refs[branch] = commit.id
        return commit.id

    def find(self, revision: str) -> Commit | None:
        """Return what a branch, a tag or a commit names."""
        return self.commits.get(self.refs.get(revision, revision))

    def name_commit(self, name: str, commit: str) -> None:
        """Make a tag, or move a branch or a tag."""
        if name not in self.refs:
            self.tag_names.add(name)
        self.refs[name] = commit

    def history(self, commit: Commit) -> list[Commit]:
        """Return a commit and those before it, the newest first."""
        found = [commit]
        while (before := self.commits.get(found[-1].parent)) is not None:
            found.append(before)
        return found

    def described_refs(self) -> dict[str, list[dict[str, str]]]:
        """Return how the API lists branches and tags."""
        shown: dict[str, list[dict[str, str]]] = {"branches": [], "converts": [], "tags": []}
        for name, commit in self.refs.items():
            kind, place = ("tags", "tags") if name in self.tag_names else ("branches", "heads")
            shown[kind].append({"name": name, "ref": f"refs/{place}/{name}", "targetCommit": commit})
        return shown

    def described(self, commit: Commit | None = None) -> dict[str, object]:
        """Return how the API describes it, or one commit of it."""
        head = commit or self.commits[self.refs["main"]]
        moment = _moment(self.number)
        card: dict[str, object] = {} if self.license is None else {"license": self.license}
        shown: dict[str, object] = {
            "_id": f"{self.number:024x}",
            "id": self.name,
            "author": self.name.rpartition("/")[0] or None,
            "sha": head.id,
            "private": self.private,
            "gated": "auto" if self.gated else False,
            "disabled": False,
            "downloads": self.downloads,
            "likes": self.likes,
            "tags": [*self.tags, *([] if self.license is None else [f"license:{self.license}"])],
            "createdAt": moment,
            "lastModified": moment,
            "trendingScore": self.likes,
            "cardData": card,
        }
        if self.kind == "model":
            shown |= {"modelId": self.name} | ({} if self.task is None else {"pipeline_tag": self.task})
        if commit is not None:
            shown["siblings"] = [{"rfilename": path} for path in commit.entries]
        return shown

    def matches(self, asked: Mapping[str, str]) -> bool:
        """Whether a search finds it."""
        words = asked.get("search", "").lower().split()
        filters = {"author": self.name.rpartition("/")[0], "pipeline_tag": self.task}
        return all(word in self.name.lower() for word in words) and all(
            value == asked[name] for name, value in filters.items() if name in asked
        )


def pages(items: Sequence[Mapping[str, object]], *, size: int, start: int) -> tuple[bytes, int | None]:
    """Return a page of a listing as JSON, and where the next one begins; `None` where there is none."""
    following = start + size
    return json.dumps(items[start:following]).encode(), following if following < len(items) else None


def sorted_by(items: Sequence[Repository], key: str) -> Iterator[dict[str, object]]:
    """Yield the descriptions of repositories, the greatest first."""
    shown = [repository.described() for repository in items]
    yield from sorted(shown, key=lambda one: (str(type(one.get(key))), one.get(key) or 0), reverse=True)
