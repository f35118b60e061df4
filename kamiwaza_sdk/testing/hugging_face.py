"""`HuggingFaceServer`: a Hugging-Face-compatible hub on loopback, right enough for ``huggingface_hub`` itself."""

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Final, Self
from urllib.parse import parse_qs, quote, unquote, urlencode

from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.testing._answers import Answer, Plan, Reply, State, answer
from kamiwaza_sdk.testing._repositories import Commit, Entry, Kind, Repository, pages, sorted_by
from kamiwaza_sdk.testing.bodies import BytesBody, GeneratedBody, body_of
from kamiwaza_sdk.testing.faults import Fault, RecordedRequest, Step
from kamiwaza_sdk.testing.server import FaultyServer, Resource, quoted

__all__ = ["HuggingFaceServer"]

_KINDS: Final[dict[str, Kind]] = {"models": "model", "datasets": "dataset", "spaces": "space"}
_LARGE: Final = ("*.safetensors", "*.bin", "*.gguf", "*.onnx", "*.pt", "*.pth", "*.h5", "*.parquet")
_NOTHING: Final = State(BytesBody(b""), 0, {})


class HuggingFaceServer(FaultyServer):
    """A hub on a free port of 127.0.0.1, from entering to leaving its context.

    It answers what reading clients ask: ``/api/models/…/revision/…``, ``/tree/…``, ``/paths-info/…``, ``/refs``,
    ``/commits/…``, searches, each listing in pages, and ``/…/resolve/…`` by GET and HEAD; the same for datasets and
    spaces. Large files are redirected to `storage`, which
    is another origin and remembers what it was sent. Whatever `FaultyServer` can do, it can: `FaultyServer.add` puts
    something else in the place of an answer, `HuggingFaceServer.add_faults` something wrong into it.

    Args:
        token: The token of an account that sees everything here.
        other_token: The token of one that sees what is public, and was let in nowhere. Any other token is refused.
        page_size: How many entries a page has at most.
        patience: As for `FaultyServer`.

    Attributes:
        token: As it was given.
        other_token: As it was given.
        storage: Where large files lie.

    Example:
        >>> import json
        >>> from urllib.request import urlopen
        >>> from kamiwaza_sdk.testing import HuggingFaceServer
        >>> with HuggingFaceServer() as server:
        ...     commit = server.add_repository("org/tiny", {"config.json": b"{}"})
        ...     with urlopen(f"{server.endpoint}/api/models/org/tiny/revision/main") as response:
        ...         json.load(response)["sha"] == commit
        True
    """

    def __init__(
        self,
        *,
        token: str = "hf_everything",  # noqa: S107 - it opens nothing
        other_token: str = "hf_public",  # noqa: S107 - it opens nothing
        page_size: int = 1000,
        patience: float = 60.0,
    ) -> None:
        super().__init__(patience=patience)
        self.token: str = token
        self.other_token: str = other_token
        self._page_size = page_size
        self._repositories: dict[tuple[Kind, str], Repository] = {}
        self._renamed: dict[tuple[Kind, str], str] = {}
        self._faults: dict[str, Resource] = {}

    def __enter__(self) -> Self:
        super().__enter__()
        self.storage: FaultyServer = self.another_origin()
        return self

    @property
    def endpoint(self) -> str:
        """What to give as ``HUB_SERVICE_HF_ENDPOINT`` or ``HF_ENDPOINT``."""
        return self.url("")

    def add_repository(
        self,
        name: str,
        files: Mapping[str, bytes | GeneratedBody],
        *,
        kind: Kind = "model",
        branch: str = "main",
        private: bool = False,
        gated: bool = False,
        license: str | None = None,  # noqa: A002 - the field's word
        task: str | None = None,
        tags: Sequence[str] = (),
        downloads: int = 0,
        likes: int = 0,
        lfs: Sequence[str] = _LARGE,
        xet: bool = False,
    ) -> str:
        """Commit files to a repository, which is made where it is missing, and return the commit.

        Args:
            name: ``org/name``.
            files: All that it consists of from now on, by path.
            kind: What it holds.
            branch: Which branch the commit is on.
            private: Whether only `token` sees it.
            gated: Whether only `token` gets its files.
            license: Its licence.
            task: Its ``pipeline_tag``.
            tags: What it is filed under.
            downloads: What a search sorts by.
            likes: What a search sorts by.
            lfs: Patterns of the files that lie in `storage`.
            xet: Whether those are announced as chunked by Xet, too.

        Returns:
            40 hexadecimal digits.

        Raises:
            InvalidInputException: The content of a file is neither bytes nor a `GeneratedBody`.

        Example:
            >>> from kamiwaza_sdk.testing import HuggingFaceServer
            >>> with HuggingFaceServer() as server:
            ...     first = server.add_repository("org/tiny", {"model.safetensors": b"weights"})
            ...     second = server.add_repository("org/tiny", {"model.safetensors": b"others"})
            ...     (len(first), first == second)
            (40, False)
        """
        bodies = {path: body_of(body, field=f"files.{path}") for path, body in files.items()}
        with self._lock:
            number = len(self._repositories) + 1
            repository = self._repositories.setdefault((kind, name), Repository(name, kind, number))
            repository.private, repository.gated, repository.license = private, gated, license
            repository.task, repository.tags = task, tuple(tags)
            repository.downloads, repository.likes = downloads, likes
            commit = repository.commit(bodies, branch=branch, lfs=lfs, xet=xet)
            repository.refs.setdefault("main", commit)
        for entry in repository.commits[commit].entries.values():
            if entry.sha256 is not None:
                content = entry.body if isinstance(entry.body, GeneratedBody) else entry.body.read(0, entry.body.size)
                self.storage.add(f"/{entry.sha256}", body=content)
        return commit

    def add_tag(self, name: str, tag: str, commit: str, *, kind: Kind = "model") -> None:
        """Name a commit, or move a branch to it.

        Args:
            name: The repository.
            tag: The tag or branch.
            commit: What `add_repository` returned.
            kind: What the repository holds.
        """
        self._repositories[kind, name].name_commit(tag, commit)

    def rename_repository(self, name: str, new_name: str, *, kind: Kind = "model") -> None:
        """Give a repository another name. Who asks for the old one is redirected.

        Args:
            name: The one it has.
            new_name: The one it gets.
            kind: What it holds.
        """
        repository = self._repositories.pop((kind, name))
        repository.name = new_name
        self._repositories[kind, new_name] = repository
        self._renamed[kind, name] = new_name

    def add_faults(self, path: str, faults: Iterable[Step] = (), *, always: Fault | tuple[Fault, ...] = ()) -> None:
        """Let something be wrong with the answers under a path.

        Args:
            path: As clients ask for it, without its query.
            faults: As for `FaultyServer.add`: each request takes the next. Not `Changed`: to have other content, commit
                it with `add_repository`. Leaving the server raises what is wrong with a fault that a request took.
            always: As for `FaultyServer.add`: what befalls every request, besides.

        Raises:
            InvalidInputException: The path does not begin with ``/``, or has a query; or `faults` or `always` is, or
                has among its items, something of a wrong kind.
        """
        if not path.startswith("/") or "?" in path:
            raise InvalidInputException("path", f"{path!r} is none; begin it with '/', and leave out any query")
        self._faults[quoted(path)] = Resource(BytesBody(b""), {}, faults, always)

    def _take(self, record: RecordedRequest) -> tuple[Plan, Answer]:
        """Note a request, and return how it is answered."""
        path = record.path.partition("?")[0]
        asks_for_paths = record.method == "POST" and "/paths-info/" in path
        if path in self._resources or not (asks_for_paths or record.method in {"GET", "HEAD"}):
            return super()._take(record)
        with self._lock:
            self.requests.append(record)
            plan = self._faults[path].next_plan() if path in self._faults else Plan()
            if plan.changes:
                raise InvalidInputException("faults", "has Changed, which no repository follows; add other files to it")
            state, reply = self._answered(record)
        plan.reply = plan.reply or reply
        return plan, answer(record.method, record.headers, state, plan)

    def _answered(self, record: RecordedRequest) -> tuple[State, Reply | None]:
        path, _, query = record.path.partition("?")
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        account = record.headers.get("authorization", "").removeprefix("Bearer ") or None
        if account not in {None, self.token, self.other_token}:
            return _NOTHING, _refusal(401, None, "Invalid credentials in Authorization header")
        asked |= _asked_in_body(record)
        parts = [unquote(part) for part in path.split("/")[1:]]
        if parts[0] == "api" and len(parts) == 2 and parts[1] in _KINDS:  # noqa: PLR2004 - /api/models
            return _NOTHING, self._search(_KINDS[parts[1]], asked, sees_all=account == self.token)
        return self._of_repository(_Route.of(parts), path, asked, account)

    def _of_repository(
        self, route: "_Route | None", path: str, asked: Mapping[str, str], account: str | None
    ) -> tuple[State, Reply | None]:
        if route is None:
            return _NOTHING, _refusal(404, None, "Sorry, we can't find the page you are looking for.")
        if (new_name := self._renamed.get((route.kind, route.name))) is not None:
            location = path.replace(f"/{quote(route.name)}", f"/{quote(new_name)}", 1)
            return _NOTHING, Reply(307, {"Location": location}, b"renamed\n")
        repository = self._repositories.get((route.kind, route.name))
        if repository is None or (repository.private and account != self.token):
            return _NOTHING, _refusal(401 if account is None else 404, "RepoNotFound", "Repository not found")
        commit = repository.find(route.revision)
        if commit is None:
            return _NOTHING, _refusal(404, "RevisionNotFound", f"Invalid rev id: {quote(route.revision)}")
        if route.action == "resolve":
            return self._file(repository, commit, route.path, account)
        return _NOTHING, self._told(repository, commit, route, path, asked)

    def _told(
        self, repository: Repository, commit: Commit, route: "_Route", path: str, asked: Mapping[str, str]
    ) -> Reply:
        if route.action == "revision":
            return _json(repository.described(commit))
        if route.action == "refs":
            return _json(repository.described_refs() | ({"pullRequests": []} if "include_prs" in asked else {}))
        if route.action == "commits":
            return self._page([one.described() for one in repository.history(commit)], path, asked)
        if route.action == "paths-info":
            return _json([_expanded(entry, commit, asked) for entry in commit.found(asked["paths"].split("\0"))])
        return self._tree(commit, route, path, asked)

    def _tree(self, commit: Commit, route: "_Route", path: str, asked: Mapping[str, str]) -> Reply:
        entries = commit.tree(route.path, recursive=asked.get("recursive", "").lower() in {"true", "1"})
        if not entries:
            return _missing(commit)
        return self._page([_expanded(entry, commit, asked) for entry in entries], path, asked)

    def _search(self, kind: Kind, asked: Mapping[str, str], *, sees_all: bool) -> Reply:
        found = [
            repository
            for repository in self._repositories.values()
            if repository.kind == kind and (sees_all or not repository.private) and repository.matches(asked)
        ]
        return self._page(list(sorted_by(found, asked.get("sort", "trendingScore"))), f"/api/{kind}s", asked)

    def _page(self, entries: Sequence[Mapping[str, object]], path: str, asked: Mapping[str, str]) -> Reply:
        size = min(int(asked.get("limit", self._page_size)), self._page_size)
        body, following = pages(entries, size=size, start=int(asked.get("cursor", 0)))
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if following is not None:
            query = urlencode({**asked, "cursor": following})
            headers["Link"] = f'<{self.url(path)}?{query}>; rel="next"'
        return Reply(200, headers, body)

    def _file(
        self, repository: Repository, commit: Commit, path: str, account: str | None
    ) -> tuple[State, Reply | None]:
        if repository.gated and account != self.token:
            refusal = f"Access to model {repository.name} is restricted."
            return _NOTHING, _refusal(401 if account is None else 403, "GatedRepo", refusal)
        entry = commit.entries.get(path)
        if entry is None:
            return _NOTHING, _missing(commit)
        headers: dict[str, str | None] = {"X-Repo-Commit": commit.id, "ETag": f'"{entry.oid}"', "Last-Modified": None}
        if entry.sha256 is None:
            return State(entry.body, 0, headers), None
        return _NOTHING, self._redirect(commit, entry)

    def _redirect(self, commit: Commit, entry: Entry) -> Reply:
        headers = {
            "Location": f"{self.storage.url(f'/{entry.sha256}')}?X-Amz-Signature=signed",
            "X-Repo-Commit": commit.id,
            "X-Linked-Etag": f'"{entry.sha256}"',
            "X-Linked-Size": str(entry.body.size),
        }
        if entry.xet_hash is not None:
            headers |= {
                "X-Xet-Hash": entry.xet_hash,
                "X-Xet-Refresh-Route": self.url(f"/api/models/xet-read-token/{commit.id}"),
            }
        return Reply(302, headers, b"elsewhere\n")


class _Route:
    """What a path asks of which repository."""

    def __init__(self, kind: Kind, name: str, *, action: str, revision: str, path: str) -> None:
        self.kind = kind
        self.name = name
        self.action = action
        self.revision = revision
        self.path = path

    @classmethod
    def of(cls, parts: Sequence[str]) -> "_Route | None":
        """Return what the segments of a path ask for, `None` for nothing that is served here."""
        in_api = parts[0] == "api"
        rest = list(parts[1:] if in_api else parts)
        kind = _KINDS.get(rest[0]) if rest and (in_api or rest[0] != "models") else None
        rest = rest[1:] if kind is not None else rest
        actions = {"revision", "tree", "refs", "commits", "paths-info"} if in_api else {"resolve"}
        at = next((place for place in (2, 1) if place < len(rest) and rest[place] in actions), None)
        if at is None:
            known = in_api and kind is not None and len(rest) in {1, 2}
            return cls(kind, "/".join(rest), action="revision", revision="main", path="") if known and kind else None
        if in_api and kind is None:
            return None
        if rest[at:] == ["refs"] and kind is not None:
            return cls(kind, "/".join(rest[:at]), action="refs", revision="main", path="")
        if at + 1 >= len(rest) or rest[at] == "refs":
            return None
        name, action, revision = "/".join(rest[:at]), rest[at], rest[at + 1]
        return cls(kind or "model", name, action=action, revision=revision, path="/".join(rest[at + 2 :]))


def _asked_in_body(record: RecordedRequest) -> dict[str, str]:
    """Return what a request for paths has in its body, a form or JSON; the paths with NUL between them."""
    if record.method != "POST":
        return {}
    if "json" in record.headers.get("content-type", ""):
        asked = json.loads(record.body)
        paths, expand = asked.get("paths", []), asked.get("expand", False)
    else:
        form = parse_qs(record.body.decode())
        paths, expand = form.get("paths", []), form.get("expand", ["false"])[-1]
    return {"paths": "\0".join([paths] if isinstance(paths, str) else paths), "expand": str(expand)}


def _expanded(entry: Mapping[str, object], commit: Commit, asked: Mapping[str, str]) -> Mapping[str, object]:
    """Return an entry of a listing with what is told only if that is asked for."""
    if asked.get("expand", "").lower() not in {"true", "1"}:
        return entry
    last = {"id": commit.id, "title": commit.title, "date": commit.date}
    return {**entry, "lastCommit": last}


def _missing(commit: Commit) -> Reply:
    """Return what is said of a file that a commit has not: clients remember it by the commit."""
    return _refusal(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit.id})


def _json(content: object) -> Reply:
    return Reply(200, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(content).encode())


def _refusal(status: int, code: str | None, message: str, more: Mapping[str, str] | None = None) -> Reply:
    headers = {"Content-Type": "application/json; charset=utf-8", "X-Error-Message": message, **(more or {})}
    if code is not None:
        headers["X-Error-Code"] = code
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="Authentication required"'
    return Reply(status, headers, json.dumps({"error": message}).encode())
