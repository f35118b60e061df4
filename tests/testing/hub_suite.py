"""``huggingface_hub``'s own tests of reading, on a `HuggingFaceServer`: ``nox -s mirrors`` runs them.

Its distribution has the tests, but not their fixtures: those are here. What a test uploads before it reads is added to
the server directly, as that takes no uploads. A test counts if it asks the server for anything, for nothing but
repositories and their files, and uploads nothing itself: discussions, collections, papers, jobs and the like are not
the server's matter.

Run as a program with the directory of an unpacked distribution: it prints how many pass, and the names of the others.
It fails if one fails that does not need the real hub.
"""

import os
import re
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pytest

from kamiwaza_sdk.testing import HuggingFaceServer, RecordedRequest
from tests.testing.hub_content import USER, fill

_PACKAGE: Final = "hub_tests"
_MARKERS: Final = ("api", "transfer", "inference", "xet", "no_xet", "production", "deprecated", "git_lfs", "vcr")
#: Those that read.
_FILES: Final = (
    *("auth", "cache_layout", "cache_no_symlinks", "cli", "file_download", "hf_api", "hf_file_system", "hub_mixin"),
    *("local_folder", "repocard", "shared_blobs", "snapshot_download", "tree_cache", "utils_cache", "utils_http"),
    *("utils_pagination", "verification"),
)
#: Those that need the real hub: what it knows, or what is in its repositories.
_KNOWN: Final = {
    "test_whoami_with_passing_token": "who is in which organization",
    "test_list_models_apps": "which programs can run a model",
    "test_list_models_num_parameters": "how many parameters models have",
    "test_model_info": "when a model was made, in 2022",
    "test_space_info": "what a space runs on",
    "test_search_spaces": "what spaces mean",
    "test_list_hardware": "what spaces can run on",
    "test_json_on_command_without_format": "another hub, without the model",
    "test_get_safetensors_metadata_single_file": "the tensors of bloomz-560m",
    "test_get_safetensors_metadata_sharded_model": "the tensors of zephyr-7b-beta",
    "test_get_sharded_safetensors_metadata": "the tensors of zephyr-7b-beta",
    "test_parse_safetensors_metadata": "the tensors of zephyr-7b-beta",
    "test_parse_safetensors_metadata_100kb_header": "the tensors of another model",
    "test_not_a_safetensors_file": "the weights of zephyr-7b-beta",
    "test_inference_provider_mapping_model_info": "who runs models",
    "test_inference_provider_mapping_list_models": "who runs models",
    "test_filter_models_by_inference_provider": "who runs models",
    "test_hf_hub_download_with_user_agent": "that small files are redirected, too",
    "test_get_hf_file_metadata_from_a_lfs_file": "where large files lie",
    "test_large_file_http_path_error": "a file of 50 GB",
}
#: What the server answers: the rest of the real hub's questions are not its matter.
_SERVED: Final = re.compile(
    r"/api/(?:models|datasets|spaces)(?:/[^/]+){0,2}"
    r"(?:/(?:revision|tree|refs|commits|paths-info|auth-check)(?:/.*)?)?|/api/whoami-v2|/.+/resolve/.+"
)
#: The tokens that the tests have.
_TOKEN: Final = "hf_HubCITokenXXXXXXXXXXXXXXXXXXXXX"
_OTHER_TOKEN: Final = "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"


class Uploads:
    """Adds to the server what ``HfApi`` would upload."""

    def __init__(self, server: HuggingFaceServer) -> None:
        self.count: int = 0
        self._server = server
        self._files: dict[tuple[str, str, str], dict[str, bytes]] = {}
        self._commits: dict[tuple[str, str, str], str] = {}
        self._settings: dict[tuple[str, str], dict[str, Any]] = {}

    def install(self) -> None:
        """Take the place of the methods that upload."""
        from huggingface_hub import HfApi

        for name in ("create_repo", "delete_repo", "create_commit", "create_branch", "create_tag"):
            setattr(HfApi, name, self._method(getattr(self, name)))
        for name in ("update_repo_settings", "move_repo"):
            setattr(HfApi, name, self._method(getattr(self, name)))

    def _method(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def method(_: object, *args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return function(*args, **kwargs)

        return method

    def create_repo(
        self,
        repo_id: str,
        *,
        repo_type: str | None = None,
        private: bool | None = None,
        visibility: str | None = None,
        exist_ok: bool = False,
        **_: object,
    ) -> Any:
        """Make a repository with its first commit."""
        from huggingface_hub import RepoUrl

        kind, name = repo_type or "model", repo_id if "/" in repo_id else f"{USER}/{repo_id}"
        if not (exist_ok and (kind, name) in self._settings):
            self._settings[kind, name] = {"private": private is True or visibility == "private"}
            attributes = b"*.bin filter=lfs diff=lfs merge=lfs -text\n"
            self._commit(kind, name, "main", {".gitattributes": attributes}, title="initial commit")
        prefix = "" if kind == "model" else f"{kind}s/"
        return RepoUrl(f"{self._server.endpoint}/{prefix}{name}", endpoint=self._server.endpoint)

    def _commit(self, kind: str, name: str, ref: str, files: dict[str, bytes], *, title: str) -> str:
        options: dict[str, Any] = {"kind": kind, "branch": ref, "title": title, **self._settings[kind, name]}
        commit = self._server.add_repository(name, files, **options)
        self._files[kind, name, ref] = self._files[kind, name, commit] = files
        self._commits[kind, name, ref] = commit
        return commit

    def delete_repo(self, repo_id: str, **_: object) -> None:
        """Leave it: nobody asks for it again."""

    def create_commit(
        self,
        repo_id: str,
        operations: Any,
        *,
        commit_message: str = "",
        commit_description: str | None = None,
        repo_type: str | None = None,
        revision: str | None = None,
        create_pr: bool | None = None,
        **_: object,
    ) -> Any:
        """Change the files of a branch."""
        from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete

        kind, base = repo_type or "model", revision or "main"
        files = dict(self._files.get((kind, repo_id, base)) or self._files[kind, repo_id, "main"])
        for operation in operations:
            if isinstance(operation, CommitOperationAdd):
                with operation.as_file() as content:
                    files[operation.path_in_repo] = content.read()
            elif isinstance(operation, CommitOperationDelete):
                gone = operation.path_in_repo.rstrip("/")
                files = {path: data for path, data in files.items() if path != gone and not path.startswith(f"{gone}/")}
            else:
                pytest.skip("copies on the server")
        made = sum(1 for one in self._files if one[:2] == (kind, repo_id) and one[2].startswith("refs/pr/"))
        ref = f"refs/pr/{made + 1}" if create_pr else base
        commit = self._commit(kind, repo_id, ref, files, title=commit_message)
        url = f"{self._server.endpoint}/{'' if kind == 'model' else kind + 's/'}{repo_id}"
        return CommitInfo(
            commit_url=f"{url}/commit/{commit}",
            commit_message=commit_message,
            commit_description=commit_description or "",
            oid=commit,
            pr_url=f"{url}/discussions/{made + 1}" if create_pr else None,
            _endpoint=self._server.endpoint,
        )

    def create_branch(
        self, repo_id: str, *, branch: str, revision: str | None = None, repo_type: str | None = None, **_: object
    ) -> None:
        """Begin a branch where another is."""
        kind, base = repo_type or "model", revision or "main"
        self._server._repositories[kind, repo_id].refs[branch] = self._commits.get((kind, repo_id, base), base)  # type: ignore[index]  # without a commit
        self._files[kind, repo_id, branch] = self._files[kind, repo_id, base]

    def create_tag(
        self, repo_id: str, *, tag: str, revision: str | None = None, repo_type: str | None = None, **_: object
    ) -> None:
        """Name a commit."""
        kind = repo_type or "model"
        commit = self._commits.get((kind, repo_id, revision or "main"), revision)
        self._server.add_tag(repo_id, tag, str(commit), kind=kind)  # type: ignore[arg-type]

    def update_repo_settings(
        self,
        repo_id: str,
        *,
        repo_type: str | None = None,
        gated: object = None,
        private: bool | None = None,
        **_: object,
    ) -> None:
        """Open or close a repository."""
        kind = repo_type or "model"
        given = {"gated": None if gated is None else bool(gated), "private": private}
        for name, value in given.items():
            if value is not None:
                self._settings[kind, repo_id][name] = value
                setattr(self._server._repositories[kind, repo_id], name, value)  # type: ignore[index]  # without a commit

    def move_repo(self, from_id: str, to_id: str, *, repo_type: str | None = None, **_: object) -> None:
        """Give a repository another name."""
        kind = repo_type or "model"
        self._server.rename_repository(from_id, to_id, kind=kind)  # type: ignore[arg-type]
        self._settings[kind, to_id] = self._settings.pop((kind, from_id))
        for key in [key for key in self._files if key[:2] == (kind, from_id)]:
            self._files[kind, to_id, key[2]] = self._files.pop(key)


class Suite:
    """The fixtures of the tests, and the count of them."""

    def __init__(self, server: HuggingFaceServer, uploads: Uploads) -> None:
        self.server = server
        self.outcomes: dict[str, str] = {}
        self._uploads = uploads
        self._before = (0, 0)

    def pytest_configure(self, config: pytest.Config) -> None:
        """Name the marks that the tests have."""
        for name in _MARKERS:
            config.addinivalue_line("markers", name)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Skip what transfers by Xet: the server announces it, and does not do it."""
        for item in items:
            if item.get_closest_marker("xet") is not None:
                item.add_marker(pytest.mark.skip("no Xet"))

    @pytest.fixture(scope="session")
    def api(self) -> Any:
        """A client with the token of the owner."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.server.endpoint, token=self.server.token)

    @pytest.fixture(scope="session")
    def api_prod(self) -> Any:
        """A client without a token."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.server.endpoint, token=False)

    @pytest.fixture(autouse=True)
    def own_cache(self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let no test find what another downloaded."""
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path_factory.mktemp("cache")))

    @pytest.fixture
    def repo_factory(self, api: Any) -> Callable[..., Any]:
        """Make repositories."""

        def make(repo_type: str | None = None, *, repo_id: str | None = None, **options: Any) -> Any:
            return api.create_repo(repo_id or repo_name(), repo_type=repo_type, **options)

        return make

    @pytest.fixture
    def new_repo_id(self) -> str:
        """A name that nothing has yet."""
        return f"{USER}/{repo_name()}"

    def pytest_runtest_setup(self) -> None:
        """Note what the server was asked before the test."""
        self._before = (len(self.server.requests), self._uploads.count)

    def pytest_runtest_call(self) -> None:
        """Note what was uploaded before the test, for it."""
        self._before = (self._before[0], self._uploads.count)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what came of a test."""
        if report.when == "teardown" or report.skipped or (report.when == "setup" and report.passed):
            return
        requests, uploads = self._before
        asked = self.server.requests[requests:]
        counts = bool(asked) and uploads == self._uploads.count and all(map(_is_served, asked))
        if counts or report.failed:
            self.outcomes[report.nodeid] = report.outcome if counts else f"other, {report.outcome}"


def _is_served(request: RecordedRequest) -> bool:
    path = request.path.partition("?")[0]
    reads = request.method in {"GET", "HEAD"} or "/paths-info/" in path
    return reads and _SERVED.fullmatch(path) is not None


def repo_name(id: str | None = None, prefix: str = "repo") -> str:  # noqa: A002 - as the tests name it
    """Return a name that nothing has yet."""
    return f"{prefix}-{id or 'tests'}-{uuid.uuid4().hex[:12]}"


class OfflineSimulationMode(Enum):
    """How a network can be missing."""

    CONNECTION_FAILS = 0
    CONNECTION_TIMES_OUT = 1
    HF_HUB_OFFLINE_SET_TO_1 = 2


class RequestWouldHangIndefinitelyError(Exception):
    """A request has no time limit."""


@contextmanager
def offline(mode: OfflineSimulationMode = OfflineSimulationMode.CONNECTION_FAILS, **_: object) -> Iterator[None]:
    """Let no request reach anything."""
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session  # type: ignore[attr-defined]  # it is documented

    close_session()
    refused = OSError("no network")
    try:
        if mode is OfflineSimulationMode.HF_HUB_OFFLINE_SET_TO_1:
            with patch.object(constants, "HF_HUB_OFFLINE", new=True):
                yield
        else:
            with patch("socket.create_connection", side_effect=refused), patch("socket.socket", side_effect=refused):
                yield
    finally:
        close_session()


def rmtree_with_retry(path: str | Path) -> None:
    """Remove a directory."""
    shutil.rmtree(path)


def wait_for_bucket_files(*_: object, **__: object) -> None:
    """Wait for nothing: there are no buckets."""


RepoFactory = Callable[..., Any]


def lay_out(tests: Path, place: Path, server: HuggingFaceServer, ids: dict[str, str]) -> Path:
    """Copy the tests beside what they import, with the ids of the commits that are here."""
    copied = place / _PACKAGE
    shutil.copytree(tests, copied)
    (copied / "__init__.py").touch()
    for module in ("conftest", "testing_utils"):
        (copied / f"{module}.py").write_text("from tests.testing.hub_suite import *  # noqa: F403\n")
    constants = copied / "testing_constants.py"
    text = constants.read_text().replace("__DUMMY_HUB_USER__", USER)
    for endpoint in ("https://huggingface.co", "https://hub-ci.huggingface.co"):
        text = text.replace(endpoint, server.endpoint)
    constants.write_text(text)
    for file in copied.glob("*.py"):
        text = file.read_text()
        for theirs, ours in ids.items():
            text = text.replace(theirs, ours)
        file.write_text(text)
    return copied


def run(tests: Path, names: list[str]) -> dict[str, str]:
    """Run the tests, and return what came of each that counts."""
    with (
        tempfile.TemporaryDirectory() as place,
        HuggingFaceServer(token=_TOKEN, other_token=_OTHER_TOKEN) as server,
    ):
        ids = fill(server)
        os.environ |= {"HF_ENDPOINT": server.endpoint, "HF_HOME": f"{place}/home", "HF_HUB_DISABLE_TELEMETRY": "1"}
        copied = lay_out(tests, Path(place), server, ids)
        sys.path.insert(0, place)
        uploads = Uploads(server)
        uploads.install()
        suite = Suite(server, uploads)
        options = ["-q", "--no-header", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", place, "--timeout=60"]
        pytest.main(
            [*options, "--tb=short", *(str(copied / f"test_{name}.py") for name in names or _FILES)], plugins=[suite]
        )
        return suite.outcomes


def main(distribution: str, *names: str) -> None:
    """Run the tests of a distribution, and print what came of them."""
    outcomes = run(Path(distribution) / "tests", list(names))
    counted = {name: outcome for name, outcome in outcomes.items() if not outcome.startswith("other")}
    failed = {name: _KNOWN.get(name.rpartition("::")[2]) for name, outcome in counted.items() if outcome == "failed"}
    for name, reason in failed.items():
        print(f"{name} fails: it needs {reason or 'nothing of the real hub'}")  # noqa: T201 - that is what it is for
    print(f"{len(counted) - len(failed)} of {len(counted)} pass")  # noqa: T201 - as above
    sys.exit(None in failed.values())


if __name__ == "__main__":
    main(*sys.argv[1:])
