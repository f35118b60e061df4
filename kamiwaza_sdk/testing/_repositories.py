"""The repositories of a fake hub: their commits, and how its API describes them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from html import escape
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from kamiwaza_sdk.testing.bodies import Body, BytesBody

__all__ = ["AUTHOR", "Commit", "Entry", "Kind", "Repository"]

#: What a repository holds.
Kind: TypeAlias = Literal["model", "dataset", "space"]
#: Whom every commit is by: the account that sees everything.
AUTHOR: Final = "owner"
#: References that are no branches, and how the API calls their lists.
_SPECIAL: Final = {"refs/convert/": "converts", "refs/pr/": "pullRequests"}
_PIECE: Final = 1024**2
_BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)


def _moment(hours: int) -> str:
    """Return a time in the form of the API."""
    return (_BEGINNING + timedelta(hours=hours)).isoformat().replace("+00:00", ".000Z")


def _git_blob_id(body: Body) -> str:
    digest = hashlib.sha1(f"blob {body.size}\0".encode(), usedforsecurity=False)
    for start in range(0, body.size, _PIECE):
        digest.update(body.read(start, min(start + _PIECE, body.size)))
    return digest.hexdigest()


def _pointer(sha256: str, size: int) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


@dataclass(frozen=True)
class Entry:
    """A file of a commit, stored in git or, if it is large, in the LFS storage."""

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
        oid = _git_blob_id(BytesBody(_pointer(sha256, body.size)))
        return cls(path, body, oid, sha256, hashlib.sha256(sha256.encode()).hexdigest() if xet else None)

    @property
    def pointer_size(self) -> int:
        """The size of the pointer file in git, if the file is in the LFS storage."""
        return len(_pointer(str(self.sha256), self.body.size))

    def described(self) -> dict[str, object]:
        """Return how a listing shows it."""
        shown: dict[str, object] = {"type": "file", "oid": self.oid, "size": self.body.size, "path": self.path}
        if self.sha256 is not None:
            shown["lfs"] = {"oid": self.sha256, "size": self.body.size, "pointerSize": self.pointer_size}
        if self.xet_hash is not None:
            shown["xetHash"] = self.xet_hash
        return shown


@dataclass(frozen=True)
class Commit:
    """A state of a repository."""

    id: str
    entries: Mapping[str, Entry]
    parent: str
    title: str
    date: str

    @classmethod
    def of(cls, entries: Sequence[Entry], *, parent: str, title: str, date: str) -> "Commit":
        """Return a commit, whose id depends on its content and its parent."""
        text = "".join(f"{entry.oid} {entry.path}\n" for entry in entries)
        name = hashlib.sha1(f"{parent}\n{text}".encode(), usedforsecurity=False).hexdigest()
        return cls(name, {entry.path: entry for entry in entries}, parent, title, date)

    def described(self, *, formatted: bool) -> dict[str, object]:
        """Return how a listing of commits shows it, as HTML, too, if that is asked for."""
        author = {"user": AUTHOR, "avatar": "https://example.org/author.svg"}
        shown: dict[str, object] = {
            "id": self.id,
            "title": self.title,
            "message": "",
            "authors": [author],
            "date": self.date,
        }
        return {**shown, "formatted": {"title": escape(self.title), "message": ""}} if formatted else shown

    def content(self, path: str) -> str | dict[str, str]:
        """Return the id of the content of a file, or of all files below a directory."""
        if path in self.entries:
            return self.entries[path].oid
        return {name: entry.oid for name, entry in self.entries.items() if name.startswith(f"{path}/")}

    def found(self, paths: Sequence[str]) -> list[dict[str, object]]:
        """Return the files and directories of these paths, as in a listing; missing ones are left out."""
        known = {str(shown["path"]): shown for shown in self.tree("", recursive=True)}
        return [known[path] for path in dict.fromkeys(path.strip("/") for path in paths) if path in known]

    def tree(self, below: str, *, recursive: bool) -> list[dict[str, object]]:
        """Return the listing of a directory: its entries, or everything below it."""
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
    """A repository, its commits, and its description."""

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

    @property
    def created_at(self) -> str:
        """The time of its first commit, an hour after that of the previous repository; each commit is an hour later."""
        return _moment(self.number)

    def commit(
        self, files: Mapping[str, Body], *, branch: str, title: str | None, lfs: Sequence[str], xet: bool
    ) -> str:
        """Commit these files to a branch, and return the commit."""
        large = [path for path in files if any(fnmatchcase(path, pattern) for pattern in lfs)]
        entries = [Entry.of(path, body, lfs=path in large, xet=xet) for path, body in sorted(files.items())]
        parent, number = self.refs.get(branch, self.refs.get("main", "")), len(self.commits)
        commit = Commit.of(
            entries, parent=parent, title=title or f"Commit {number + 1}", date=_moment(self.number + number)
        )
        self.commits[commit.id] = commit
        self.refs[branch] = commit.id
        return commit.id

    def find(self, revision: str) -> Commit | None:
        """Return the commit of a branch, a tag or a commit id."""
        return self.commits.get(self.refs.get(revision, revision))

    def name_commit(self, name: str, commit: str) -> None:
        """Create a tag, or move a branch or a tag."""
        if name not in self.refs:
            self.tag_names.add(name)
        self.refs[name] = commit

    def history(self, commit: Commit) -> list[Commit]:
        """Return a commit and those before it, the newest first."""
        found = [commit]
        while (before := self.commits.get(found[-1].parent)) is not None:
            found.append(before)
        return found

    def last_change(self, commit: Commit, path: str) -> Commit:
        """Return the last commit that changed a file or directory."""
        history = self.history(commit)
        changes = (newer for newer, older in pairwise(history) if newer.content(path) != older.content(path))
        return next(changes, history[-1])

    def described_refs(self) -> dict[str, list[dict[str, str]]]:
        """Return the API's list of branches, tags, and references under ``refs/convert`` and ``refs/pr``."""
        shown: dict[str, list[dict[str, str]]] = {"branches": [], "converts": [], "tags": [], "pullRequests": []}
        for name, commit in self.refs.items():
            place = next((place for place in _SPECIAL if name.startswith(place)), None)
            kind, prefix = ("tags", "refs/tags/") if name in self.tag_names else ("branches", "refs/heads/")
            kind, prefix = (kind, prefix) if place is None else (_SPECIAL[place], place)
            short = name.removeprefix(prefix)
            shown[kind].append({"name": short, "ref": f"{prefix}{short}", "targetCommit": commit})
        return shown
