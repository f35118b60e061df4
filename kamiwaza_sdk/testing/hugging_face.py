"""`HuggingFaceServer`: a Hugging-Face-compatible hub on loopback, which ``huggingface_hub`` can use, too."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self
from urllib.parse import quote

from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.testing._answers import Answer, Plan, Reply, State, answer
from kamiwaza_sdk.testing._descriptions import described, expanded, searched
from kamiwaza_sdk.testing._repositories import AUTHOR, Commit, Entry, Kind, Repository
from kamiwaza_sdk.testing._routes import (
    KINDS,
    BadQuestionError,
    Question,
    Route,
    as_json,
    as_page,
    missing,
    refusal,
)
from kamiwaza_sdk.testing.bodies import BytesBody, GeneratedBody, body_of
from kamiwaza_sdk.testing.faults import Fault, RecordedRequest, Step
from kamiwaza_sdk.testing.server import FaultyServer, Resource, quoted

__all__ = ["HuggingFaceServer"]

_LARGE: Final = ("*.safetensors", "*.bin", "*.gguf", "*.onnx", "*.pt", "*.pth", "*.h5", "*.parquet")
_NOTHING: Final = State(BytesBody(b""), 0, {})


class HuggingFaceServer(FaultyServer):
    """A hub on a free port of 127.0.0.1, which runs while its context is open.

    It answers the requests of clients that read: ``/api/models/…/revision/…``, ``/tree/…``, ``/paths-info/…``,
    ``/refs``, ``/commits/…``, ``/auth-check``, searches, each listing in pages, and ``/…/resolve/…`` by GET and HEAD;
    the same for datasets and spaces; and ``/api/whoami-v2``. The front matter of ``README.md`` is the repository's
    card, with tags, task and library as on the real hub. Large files are redirected to `storage`, which is another
    origin and records its requests. It can do everything that `FaultyServer` can: `FaultyServer.add` replaces an
    answer, `HuggingFaceServer.add_faults` adds faults to it.

    Args:
        token: The token of an account that sees everything here.
        other_token: The token of an account that sees only public repositories. Any other token is refused.
        page_size: The largest number of entries on a page.
        patience: As for `FaultyServer`.

    Attributes:
        token: As it was given.
        other_token: As it was given.
        storage: The origin of large files.

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
        """The value for ``HUB_SERVICE_HF_ENDPOINT`` or ``HF_ENDPOINT``."""
        return self.url("")

    def add_repository(
        self,
        name: str,
        files: Mapping[str, bytes | GeneratedBody],
        *,
        kind: Kind = "model",
        branch: str = "main",
        title: str | None = None,
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
        """Commit files to a repository, and return the commit. A missing repository is created.

        Args:
            name: ``org/name``.
            files: All files of the new commit, by path.
            kind: What it contains.
            branch: The branch of the commit; a new one begins at ``main``.
            title: The title of the commit. Default: "Commit 1", "Commit 2" …
            private: Whether only `token` sees it.
            gated: Whether only `token` gets its files.
            license: Its licence.
            task: Its ``pipeline_tag``.
            tags: Its tags.
            downloads: What a search sorts by.
            likes: What a search sorts by.
            lfs: Patterns of the files that are in `storage`.
            xet: Whether these are also announced as files of Xet.

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
            commit = repository.commit(bodies, branch=branch, title=title, lfs=lfs, xet=xet)
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
            tag: The tag or branch, or a reference in full: ``refs/pr/1``, ``refs/convert/parquet``.
            commit: What `add_repository` returned.
            kind: What the repository holds.
        """
        self._repositories[kind, name].name_commit(tag, commit)

    def rename_repository(self, name: str, new_name: str, *, kind: Kind = "model") -> None:
        """Rename a repository. Requests for the old name are redirected.

        Args:
            name: The old name.
            new_name: The new name.
            kind: What it contains.
        """
        repository = self._repositories.pop((kind, name))
        repository.name = new_name
        self._repositories[kind, new_name] = repository
        self._renamed[kind, name] = new_name

    def add_faults(self, path: str, faults: Iterable[Step] = (), *, always: Fault | tuple[Fault, ...] = ()) -> None:
        """Add faults to the answers under a path.

        Args:
            path: As clients request it, without its query.
            faults: As for `FaultyServer.add`: each request takes the next. `Changed` is not possible: to change
                content, commit it with `add_repository`. Leaving the server raises the error for an invalid fault.
            always: As for `FaultyServer.add`: faults of every request, in addition.

        Raises:
            InvalidInputException: The path does not begin with ``/``, or has a query; or `faults` or `always`, or one
                of the items, has a wrong type.
        """
        if not path.startswith("/") or "?" in path:
            raise InvalidInputException("path", f"{path!r} is none; begin it with '/', and leave out any query")
        self._faults[quoted(path)] = Resource(BytesBody(b""), {}, faults, always)

    def _take(self, record: RecordedRequest) -> tuple[Plan, Answer]:
        """Record a request, and return how to answer it."""
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
        account = record.headers.get("authorization", "").removeprefix("Bearer ") or None
        if account not in {None, self.token, self.other_token}:
            return _NOTHING, refusal(401, None, "Invalid credentials in Authorization header")
        question = Question(record)
        try:
            return self._of_hub(question, account)
        except BadQuestionError as error:
            return _NOTHING, refusal(400, None, str(error))

    def _of_hub(self, question: Question, account: str | None) -> tuple[State, Reply | None]:
        parts = question.parts
        if parts == ["api", "whoami-v2"]:
            return _NOTHING, self._whoami(account)
        if parts[0] == "api" and len(parts) == 2 and parts[1] in KINDS:  # noqa: PLR2004 - /api/models
            return _NOTHING, self._search(KINDS[parts[1]], question, sees_all=account == self.token)
        return self._of_repository(Route.of(parts), question, account)

    def _whoami(self, account: str | None) -> Reply:
        if account is None:
            return refusal(401, None, "Invalid username or password.")
        name = AUTHOR if account == self.token else "guest"
        access = {"displayName": "tests", "role": "read"}
        auth = {"type": "access_token", "accessToken": access}
        return as_json({"type": "user", "name": name, "fullname": name, "orgs": [], "auth": auth})

    def _of_repository(
        self, route: Route | None, question: Question, account: str | None
    ) -> tuple[State, Reply | None]:
        if route is None:
            return _NOTHING, refusal(404, None, "Sorry, we can't find the page you are looking for.")
        if (new_name := self._renamed.get((route.kind, route.name))) is not None:
            location = question.path.replace(f"/{quote(route.name)}", f"/{quote(new_name)}", 1)
            return _NOTHING, Reply(307, {"Location": location}, b"renamed\n")
        repository = self._repositories.get((route.kind, route.name))
        if repository is None or (repository.private and account != self.token):
            return _NOTHING, refusal(401 if account is None else 404, "RepoNotFound", "Repository not found")
        commit = repository.find(route.revision)
        if commit is None:
            return _NOTHING, refusal(404, "RevisionNotFound", f"Invalid rev id: {quote(route.revision)}")
        closed = self._closed(repository, account) if route.action in {"resolve", "auth-check"} else None
        if closed is not None or route.action != "resolve":
            return _NOTHING, closed or self._told(repository, commit, route, question)
        return self._file(commit, route.path)

    def _closed(self, repository: Repository, account: str | None) -> Reply | None:
        """Return the refusal of an account without access, `None` for one with access."""
        if not repository.gated or account == self.token:
            return None
        begins = f"Access to {repository.kind} {repository.name} is restricted"
        if account is None:
            more = "You must have access to it and be authenticated to access it. Please log in."
            return refusal(401, "GatedRepo", f"{begins}. {more}")
        more = f"Visit {self.url(f'/{repository.name}')} to ask for access."
        return refusal(403, "GatedRepo", f"{begins} and you are not in the authorized list. {more}")

    def _told(self, repository: Repository, commit: Commit, route: Route, question: Question) -> Reply:
        if route.action == "revision":
            return as_json(described(repository, commit, question))
        if route.action == "auth-check":
            return as_json({})
        if route.action == "refs":
            hidden = set() if question.value("include_prs") else {"pullRequests"}
            return as_json({kind: refs for kind, refs in repository.described_refs().items() if kind not in hidden})
        if route.action == "commits":
            formatted = "formatted" in question.values("expand")
            return self._page([one.described(formatted=formatted) for one in repository.history(commit)], question)
        entries = (
            commit.found(question.values("paths"))
            if route.action == "paths-info"
            else commit.tree(route.path, recursive=question.flag("recursive") is True)
        )
        if route.action == "tree" and not entries:
            return missing(commit)
        shown = [expanded(repository, commit, one) for one in entries] if question.flag("expand") else entries
        return as_json(shown) if route.action == "paths-info" else self._page(shown, question)

    def _search(self, kind: Kind, question: Question, *, sees_all: bool) -> Reply:
        seen = [one for one in self._repositories.values() if sees_all or not one.private]
        return self._page(searched(seen, kind, question), question)

    def _page(self, entries: Sequence[object], question: Question) -> Reply:
        return as_page(entries, question, most=self._page_size, url=self.url(question.path))

    def _file(self, commit: Commit, path: str) -> tuple[State, Reply | None]:
        entry = commit.entries.get(path)
        if entry is None:
            return _NOTHING, missing(commit)
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
