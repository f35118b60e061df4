"""Files that are something else than their names promise: told by fetch, adopt and plan, and a lone page refused."""

import asyncio
import hashlib
import pickle
from pathlib import Path

import pytest

from kamiwaza_sdk import Fetched, HubService, InvalidSourceException, PlanSchema, StorageService
from kamiwaza_sdk.services.hub.addresses import suggestion_for_name, suggestion_for_page
from kamiwaza_sdk.services.hub.details import faults_of
from kamiwaza_sdk.testing import HuggingFaceServer
from tests.formats.making import safetensors_file
from tests.formats.test_content import ANNEX_KEY, JSON, PAGE, POINTER
from tests.hub.conftest import Asking
from tests.hub.registering import registered
from tests.serving import Server

pytestmark = pytest.mark.usefixtures("blockbuster")

FILES = {
    "README.md": b"# A model",
    "config.json": JSON,
    "merges.txt": b"",
    "model.safetensors": POINTER,
    "pytorch_model.bin": PAGE,
    "sound.safetensors": safetensors_file({}),
    "tokenizer.json": POINTER,
}
FAULTS = [
    ("config.json", "error_answer"),
    ("model.safetensors", "git_lfs_pointer"),
    ("pytorch_model.bin", "html_page"),
    ("tokenizer.json", "git_lfs_pointer"),
]


def found(result: Fetched | PlanSchema) -> list[tuple[str, str]]:
    return sorted((fault.path, fault.kind) for fault in result.faults)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory in which files are not what their names promise."""
    directory = tmp_path / "model"
    directory.mkdir()
    for name, body in FILES.items():
        (directory / name).write_bytes(body)
    return directory


async def test_fetch_tells_which_files_are_no_model(hub: HubService, storage: StorageService, model: Path) -> None:
    fetched = await hub.fetch(model)
    assert found(fetched) == FAULTS
    assert "4,976,698,672 bytes: fetch the file itself" in str(fetched.faults[1])
    assert Fetched.model_validate_json(fetched.model_dump_json()) == fetched
    assert await asyncio.to_thread(faults_of, fetched.files, storage) == fetched.faults


@pytest.mark.parametrize("body", [POINTER, b"/annex/objects/" + ANNEX_KEY + b"\n"], ids=["Git LFS", "git-annex"])
@pytest.mark.parametrize("name", ["model.safetensors", "notes.txt", ""])
async def test_a_pointer_on_this_machine_is_told_by_name(
    hub: HubService, tmp_path: Path, body: bytes, name: str
) -> None:
    """As a file, whatever it is called, and in a directory; and what is registered of it is not ready."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / (name or "model.gguf")).write_bytes(body)
    for source in (tmp_path / "model" / name, (tmp_path / "model" / name).as_uri()):
        fetched = await hub.fetch(source)
        ((path, kind),) = found(fetched)
        assert (path, kind) == (name or "model.gguf", "git_lfs_pointer" if body == POINTER else "git_annex_pointer")
        assert "pointer to 4,976,698,672 bytes: fetch the file" in str(fetched.faults[0])
        assert (await asyncio.to_thread(registered, fetched)).status == "failed"


@pytest.mark.parametrize("place", ["model", "model/part", "model/part/model.gguf"])
async def test_a_link_to_what_git_annex_has_not_brought_is_told_by_name(
    hub: HubService, tmp_path: Path, place: str
) -> None:
    """It locks files as links into its own directory, which lead to nothing where their content is elsewhere."""
    key = ANNEX_KEY.decode()
    (tmp_path / "model/part").mkdir(parents=True)
    (tmp_path / "model/part/config.json").write_bytes(b"{}")
    (tmp_path / "model/part/model.gguf").symlink_to(f"../.git/annex/objects/pX/ZJ/{key}/{key}")
    with pytest.raises(InvalidSourceException, match="a git-annex pointer to 4,976,698,672 bytes: fetch") as refused:
        await hub.fetch(tmp_path / place)
    assert "model.gguf" in str(refused.value)
    assert "`git annex get`, or leave it out with ignore=" in str(refused.value)
    if place == "model":
        assert [file.path for file in (await hub.fetch(tmp_path / place, ignore="*.gguf")).files] == [
            "part/config.json"
        ]


async def test_a_plan_tells_it_of_files_that_are_here(hub: HubService, model: Path) -> None:
    plan = await hub.plan(model)
    assert found(plan) == FAULTS
    assert {file.path: file.format for file in plan.files}["pytorch_model.bin"] is None
    assert "is an HTML page" in str(plan)
    assert "is a Git LFS pointer" in plan._repr_html_()
    assert PlanSchema.model_validate_json(plan.model_dump_json()) == plan


async def test_a_plan_tells_it_of_what_it_reads_anyway_and_asks_for_no_more(
    hf: HuggingFaceServer, asking: Asking
) -> None:
    asked = []
    for body in (PAGE, safetensors_file({})):
        hf.add_repository("org/tiny", {"config.json": JSON, "model.safetensors": body, "tokenizer.json": POINTER})
        before = len(hf.requests) + len(hf.storage.requests)
        plan = await (await asking()).plan("hf://org/tiny")
        asked.append((len(hf.requests) + len(hf.storage.requests) - before, found(plan)))
    (first, first_faults), (second, second_faults) = asked
    assert first == second
    assert first_faults == [("config.json", "error_answer"), ("model.safetensors", "html_page")]
    assert second_faults == [("config.json", "error_answer")]


async def test_adopt_tells_it_too(hub: HubService, tmp_path: Path) -> None:
    place = tmp_path / "lmstudio" / "org" / "tiny"
    place.mkdir(parents=True)
    (place / "tiny-Q8_0.gguf").write_bytes(b"GGML" + bytes(100))
    adopted = await hub.adopt("lmstudio://org/tiny", cache=tmp_path / "lmstudio")
    assert found(adopted) == [("tiny-Q8_0.gguf", "wrong_magic_number")]


@pytest.mark.parametrize("path", ["/org/name", "/org/name/blob/main/model.safetensors", "/org/name/tree/main"])
async def test_a_url_that_leads_to_a_page_is_refused_with_the_hubs_address(
    path: str, hub: HubService, storage: StorageService, server: Server
) -> None:
    url = server.add(path, body=PAGE)
    with pytest.raises(InvalidSourceException, match=r"HTML page, not to a file; fetch hf://org/name") as caught:
        await hub.fetch(f"{url}?token=hunter2")
    assert caught.value.suggestion == "hf://org/name"
    assert "hunter2" not in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.suggestion) == (str(caught.value), "hf://org/name")
    assert not [*storage.root.glob("blobs/sha256/*/*")]


async def test_a_page_without_a_hubs_address_is_refused_without_a_suggestion(hub: HubService, server: Server) -> None:
    with pytest.raises(InvalidSourceException, match="give the address of the file itself") as caught:
        await hub.fetch(server.add("/files/a/b/c/model.gguf", body=PAGE))
    assert caught.value.suggestion is None


async def test_a_page_is_had_by_whoever_names_it_or_its_digest(hub: HubService, server: Server) -> None:
    assert (await hub.fetch(server.add("/org/report.html", body=PAGE))).size == len(PAGE)
    url = server.add("/org/model.bin", body=PAGE)
    fetched = await hub.fetch(url, sha256=hashlib.sha256(PAGE).hexdigest())
    assert found(fetched) == [("model.bin", "html_page")]


async def test_one_page_among_several_urls_is_a_fault(hub: HubService, server: Server) -> None:
    urls = [server.add("/m/model.gguf", body=PAGE), server.add("/m/config.json", body=b"{}")]
    assert found(await hub.fetch(urls)) == [("model.gguf", "html_page")]


async def test_a_name_that_is_no_path_here_may_be_a_repository(hub: HubService, tmp_path: Path) -> None:
    with pytest.raises(InvalidSourceException, match="write hf://org/no-such-model for that repository") as caught:
        await hub.fetch("org/no-such-model")
    assert caught.value.suggestion == "hf://org/no-such-model"
    with pytest.raises(InvalidSourceException, match="cannot be read: No such file") as plain:
        await hub.fetch(tmp_path / "org" / "name")
    assert plain.value.suggestion is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://huggingface.co/org/name", "fetch hf://org/name"),
        ("https://huggingface.co/org/name/", "fetch hf://org/name"),
        ("https://hf.co/datasets/org/name", "fetch hf://datasets/org/name"),
        ("https://huggingface.co/org/name/tree/v1", "fetch hf://org/name@v1"),
        ("https://huggingface.co/org/name/blob/main/a/b.bin", "fetch hf://org/name with allow='a/b.bin'"),
        (
            "https://mirror.example/org/name/blob/main/b.bin",
            "fetch hf://org/name with allow='b.bin', "
            "with HUB_SERVICE_HF_ENDPOINT=https://mirror.example if that is a hub",
        ),
        ("https://hub.example/org/name", "fetch hf://org/name"),
        ("https://github.com/org/name/blob/main/model.bin", None),
        ("https://huggingface.co/docs", None),
        ("https://huggingface.co/org/../name", None),
    ],
)
def test_the_address_of_a_page_tells_the_repository(url: str, expected: str | None) -> None:
    suggestion = suggestion_for_page(url, endpoint="https://hub.example")
    assert (suggestion and suggestion.way_out) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("org/name", "hf://org/name"),
        ("org/name@v1", "hf://org/name@v1"),
        ("huggingface.co/org/name", "hf://org/name"),
        ("datasets/org/name", "hf://datasets/org/name"),
        ("./org/name", None),
        ("/org/name", None),
        ("../name", None),
        ("name", None),
        ("models/model.gguf", None),
        ("a/b/c", None),
    ],
)
def test_only_what_could_be_a_repository_is_suggested_as_one(name: str, expected: str | None) -> None:
    suggestion = suggestion_for_name(name)
    assert (suggestion and suggestion.address) == expected
