"""What the registry does with versions, in every colour on every database."""

import json
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from kamiwaza_sdk import (
    AliasNotFoundException,
    CreateFile,
    CreateModel,
    CreateParent,
    CreateVersion,
    Fetched,
    FetchedFile,
    InvalidInputException,
    InvalidPathException,
    ModelAlreadyExistsException,
    ModelNotFoundException,
    ModelTooLargeException,
    ModelVersionSchema,
    ServiceConfig,
    VersionAlreadyExistsException,
    VersionNotFoundException,
)
from kamiwaza_sdk.sources import manifest_digest
from tests.backends import Backend, Order, add

A, B, C = "aa" * 32, "bb" * 32, "cc" * 32


def version_of(*digests: str, label: str | None = None) -> CreateVersion:
    """A version with one file a digest."""
    files = tuple(CreateFile(path=f"{digest[0]}.bin", size=3, sha256=digest) for digest in digests)
    return CreateVersion(files=files, version=label)


def fetched_of(*digests: str, name: str = "tiny") -> Fetched:
    """What a fetch of the same files would return."""
    files = tuple(FetchedFile(path=f"{digest[0]}.bin", size=3, sha256=digest) for digest in digests)
    source = f"https://example.org/{name}"
    return Fetched(source=source, name=name, files=files, bytes_fetched=3 * len(files), bytes_reused=0)


async def test_a_version_is_read_as_it_was_created_by_every_door(backend: Backend) -> None:
    version = CreateVersion(
        files=(
            CreateFile(path="onnx/model.onnx", size=2**40, sha256=A, format="onnx"),
            CreateFile(path="README.md", size=0, sha256=B),
        ),
        version="v1.5",
        source_revision="0123abcd",
        details={"parameters": {"F32": 2**40}, "architecture": "bert", "モデル": [None, True, 1.5, "🦙"]},
    )
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="org/tiny"))
        created = await models.create_version(model.id, version)
    async with backend.begin() as models:
        assert await models.get_version(created.id) == created
        assert await models.list_versions(model.id) == [created]
        for reference in ("org/tiny", "org/tiny:1", "org/tiny:v1.5", "org/tiny:01"):
            assert await models.resolve(reference) == created
    assert [file.model_dump() for file in created.files] == [file.model_dump() for file in reversed(version.files)]
    assert (created.number, created.version, created.status, created.size) == (1, "v1.5", "ready", 2**40)
    assert (created.model_id, created.model_name) == (model.id, "org/tiny")
    assert (created.source_revision, created.details) == (version.source_revision, version.details)
    assert created.digest == manifest_digest(version.files)


async def test_a_new_version_is_returned_as_it_is_read_whatever_it_holds(backend: Backend) -> None:
    """It is not read back, so that the databases may change nothing of what was written."""
    awkward: dict[str, JsonValue] = {
        "floats": [1.0, -0.0, 1e-7, 0.1, 2.0**53, 2.0**63, 1e300, {"deep": [2.0**70]}],
        "integers": [0, -(2**63), 2**63 - 1, True, False, None],
        "parameters": {"F16": 3, "BF16": 4},
        "context_length": 4096,
        "quantization": "Q4_K_M",
        "": "é\u0301 🦙",
    }
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="org/tiny"))
        one = await models.create_version(model.id, CreateVersion(status="draft"))
        two = await models.create_version(model.id, CreateVersion(status="draft"))
        version = CreateVersion(
            files=tuple(CreateFile(path=path, size=2**40, sha256=A, url=f"hf://org/{path}") for path in "zéaY"),
            source="hf://org/tiny@main",
            hub="huggingface",
            source_repository="org/tiny",
            source_revision="0123abcd",
            description="Small.",
            details=awkward,
            attributes=awkward,
            tags={"b": "", "a": "é"},
            derived_from=(
                CreateParent(version_id=two.id, relation="merged"),
                CreateParent(version_id=one.id, relation="quantized"),
                CreateParent(version_id=two.id, relation="converted"),
            ),
        )
        created = await models.create_version(model.id, version)
        read = await models.get_version(created.id)
    assert read == created
    assert _as_json(read) == _as_json(created)  # where 1, 1.0 and True are not the same


def _as_json(version: ModelVersionSchema) -> str:
    return json.dumps(version.model_dump(mode="json"), sort_keys=True)


async def test_numbers_have_no_gaps_whatever_is_refused_or_rolled_back(backend: Backend) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="m"))
        await models.create_version(model.id, version_of(A, label="one"))
        with pytest.raises(VersionAlreadyExistsException, match="'?m:one'? exists"):
            await models.create_version(model.id, version_of(B, label="one"))
    async with backend.session() as db:
        assert (await backend.service(db).create_version(model.id, version_of(B))).number == 2
        await db.rollback()
    async with backend.begin() as models:
        assert (await models.create_version(model.id, version_of(C))).number == 2
        assert [(v.number, v.version) for v in await models.list_versions(model.id)] == [(1, "one"), (2, "2")]


async def test_versions_are_listed_a_page_at_a_time_each_with_its_own_files(backend: Backend) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="m"))
        other = await models.create_model(CreateModel(name="other"))
        for digests in ((A,), (A, B), (B, C), (C,)):
            await models.create_version(model.id, version_of(*digests))
            await models.create_version(other.id, version_of(*digests))
        first = await models.list_versions(model.id, limit=3)
        second = await models.list_versions(model.id, after=first[-1].number, limit=3)
        listed = [[file.sha256 for file in version.files] for version in first + second]
        assert listed == [[A], [A, B], [B, C], [C]]
        assert await models.list_versions(model.id, after=4) == []
        assert [await models.get_version(version.id) for version in first] == first


@pytest.mark.parametrize("after", [-1, 2**31, 2**70])
async def test_a_page_of_versions_begins_after_a_number(backend: Backend, after: int) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="m"))
        with pytest.raises(InvalidInputException, match="^after must be a whole number from 0 to 2147483647"):
            await models.list_versions(model.id, after=after)
        assert await models.list_versions(model.id) == []


async def test_what_is_missing_is_named(backend: Backend) -> None:
    unknown = uuid4()
    async with backend.begin() as models:
        await models.create_model(CreateModel(name="m"))
        with pytest.raises(VersionNotFoundException, match=str(unknown)):
            await models.get_version(unknown)
        for attempt in (models.list_versions(unknown), models.create_version(unknown, version_of(A))):
            with pytest.raises(ModelNotFoundException, match=str(unknown)):
                await attempt
        with pytest.raises(ModelNotFoundException, match="'nowhere'"):
            await models.resolve("nowhere:1")
        for reference, way_out in {
            "m": "has no version that is ready",
            "m:1": "list_versions",
            "m:v1": "list_versions",
            "m:99999999999999999999": "list_versions",
        }.items():
            with pytest.raises(VersionNotFoundException, match=way_out) as missing:
                await models.resolve(reference)
            assert missing.value.version == reference
        with pytest.raises(AliasNotFoundException, match="has no alias of that name") as unset:
            await models.resolve("m@production")
        assert (unset.value.model, unset.value.alias) == ("m", "production")


@pytest.mark.parametrize("reference", ["", ":1", "m:", "m@", "m:1@x", "m:a:b", "m:a/b", "../m", "m:\n"])
async def test_what_is_no_reference_is_refused(backend: Backend, reference: str) -> None:
    async with backend.begin() as models:
        with pytest.raises(InvalidInputException, match="^reference ") as refused:
            await models.resolve(reference)
        assert await models.list_models() == []
    assert refused.value.value == reference


async def test_the_versions_of_a_deleted_model_are_out_of_reach_until_it_is_restored(backend: Backend) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="m"))
        version = await models.create_version(model.id, version_of(A))
        await models.delete_model(model.id)
        for attempt in (
            models.resolve("m:1"),
            models.list_versions(model.id),
            models.create_version(model.id, version_of(B)),
        ):
            with pytest.raises(ModelNotFoundException, match="is deleted"):
                await attempt
        with pytest.raises(VersionNotFoundException):
            await models.get_version(version.id)
        with pytest.raises(ModelAlreadyExistsException, match="it is deleted"):
            await models.register(fetched_of(A), name="m")
        await models.restore_model(model.id)
        assert await models.resolve("m") == version


async def test_namespaces_do_not_see_each_others_versions(backend: Backend) -> None:
    async with backend.begin("a") as models:
        model = await models.create_model(CreateModel(name="m"))
        version = await models.create_version(model.id, version_of(A))
    async with backend.begin("b") as models:
        await models.create_model(CreateModel(name="m"))
        for attempt in (models.get_version(version.id), models.resolve("m:1"), models.resolve("m")):
            with pytest.raises(VersionNotFoundException):
                await attempt
        for refused in (models.list_versions(model.id), models.create_version(model.id, version_of(A))):
            with pytest.raises(ModelNotFoundException):
                await refused


async def test_what_was_fetched_is_registered_with_its_model_and_only_once(backend: Backend) -> None:
    async with backend.begin() as models:
        version = await models.register(fetched_of(B, A))
        assert await models.register(fetched_of(A, B)) == version
    async with backend.begin() as models:
        assert await models.register(Fetched.model_validate_json(fetched_of(A, B).model_dump_json())) == version
        model = await models.get_model_by_name("tiny")
        assert await models.list_versions(model.id) == [version]
    assert (model.source_repository, model.revision) == ("https://example.org/tiny", 1)
    assert (version.number, version.digest) == (1, fetched_of(A, B).digest)


async def test_other_files_of_the_same_model_become_its_next_version(backend: Backend) -> None:
    async with backend.begin() as models:
        first = await models.register(fetched_of(A), name="m", version="one")
        second = await models.register(fetched_of(A, B), name="m")
        assert (second.model_id, second.number, second.version) == (first.model_id, 2, "2")
        assert await models.resolve("m") == second


async def test_a_label_that_cannot_be_given_is_refused_and_the_host_commits_its_own_row(backend: Backend) -> None:
    async with backend.begin() as models:
        first = await models.register(fetched_of(A), name="m", version="one")
    async with backend.session() as db:
        models = backend.service(db)
        add(db, Order(text="the host's"))
        with pytest.raises(VersionAlreadyExistsException, match="choose another label"):
            await models.register(fetched_of(B), name="m", version="one")
        with pytest.raises(VersionAlreadyExistsException, match="with the same files") as refused:
            await models.register(fetched_of(A), name="m", version="two")
        with pytest.raises(InvalidInputException, match="all digits"):
            await models.register(fetched_of(B), name="new", version="7")
        assert await models.register(fetched_of(A), name="m", version="one") == first
        await db.commit()
    assert (refused.value.model, refused.value.version) == ("m", "one")
    async with backend.begin() as models:
        assert [model.name for model in await models.list_models()] == ["m"]
        assert await models.list_versions(first.model_id) == [first]


async def test_a_version_over_the_limit_is_refused_and_one_at_it_is_not(backend: Backend) -> None:
    config = ServiceConfig(max_model_size=6)
    async with backend.session() as db:
        models = backend.service(db, config=config)
        with pytest.raises(ModelTooLargeException, match="set MODEL_SERVICE_MAX_MODEL_SIZE to") as refused:
            await models.register(fetched_of(A, B, C), name="m")
        assert await models.list_models() == []
        assert (await models.register(fetched_of(A, B), name="m")).size == 6
    assert (refused.value.size, refused.value.limit) == (9, 6)


@pytest.mark.parametrize("label", ["", "7", "a/b", "a:b", "a@b", "x" * 256, "..", "a\0"], ids=ascii)
def test_a_label_that_cannot_be_kept_is_refused(label: str) -> None:
    with pytest.raises(InvalidInputException, match="^version"):
        version_of(A, label=label)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../../up",
        "a//b",
        "a/",
        ".",
        "a\\b",
        "a\0b",
        "x/" * 512 + "x",
        "é" * 128,
        "\ud800",
    ],
    ids=ascii,
)
def test_a_files_path_that_is_not_plain_and_relative_is_refused(path: str) -> None:
    with pytest.raises((InvalidPathException, InvalidInputException), match="path|files"):
        CreateFile(path=path, size=1, sha256=A)
    with pytest.raises((InvalidPathException, InvalidInputException)):
        CreateVersion(files=[{"path": path, "size": 1, "sha256": A}])  # type: ignore[arg-type]  # as from JSON


@given(st.text("aZ09._-+=, /\\:é", max_size=12) | st.text("ab/", min_size=240, max_size=260))
def test_a_path_is_taken_where_its_segments_can_be_names(path: str) -> None:
    segments = path.split("/")
    plain = "\\" not in path and not {"", ".", ".."}.intersection(segments)
    if plain and max(map(len, segments)) <= 255:  # é is two bytes, of which 12 are few
        assert CreateFile(path=path, size=1, sha256=A).path == path
    else:
        with pytest.raises(InvalidPathException):
            CreateFile(path=path, size=1, sha256=A)


@pytest.mark.parametrize("paths", [("a", "a"), ("a", "A"), ("é", "e\u0301"), ("a", "a/b"), ("a/b/c", "A/b")])
def test_files_that_cannot_stand_beside_each_other_are_refused(paths: tuple[str, ...]) -> None:
    with pytest.raises(InvalidPathException, match="can be one file|as a file and as a directory"):
        CreateVersion(files=tuple(CreateFile(path=path, size=1, sha256=A) for path in paths))


def test_a_version_has_from_one_to_ten_thousand_files() -> None:
    with pytest.raises(InvalidInputException, match="^files"):
        CreateVersion(files=())
    files = tuple(CreateFile(path=str(number), size=1, sha256=A) for number in range(10_001))
    assert len(CreateVersion(files=files[:-1]).files) == 10_000
    with pytest.raises(InvalidInputException, match="^files"):
        CreateVersion(files=files)


def test_sizes_that_no_database_can_count_are_refused() -> None:
    with pytest.raises(InvalidInputException, match="size"):
        CreateFile(path="a", size=2**63, sha256=A)
    half = tuple(CreateFile(path=path, size=2**62, sha256=A) for path in "ab")
    with pytest.raises(InvalidInputException, match="^files have over"):
        CreateVersion(files=half)


@pytest.mark.parametrize(
    "details", [{"a": float("nan")}, {"a": [2**63]}, {"a\0": 1}, {"a": {"b": "\ud800"}}], ids=ascii
)
def test_details_that_databases_cannot_hold_are_refused(details: dict[str, JsonValue]) -> None:
    with pytest.raises(InvalidInputException, match="^details"):
        CreateVersion(files=version_of(A).files, details=details)


def test_details_nest_to_a_limit() -> None:
    deep: JsonValue = 1
    for _ in range(40):
        deep = [deep]
    with pytest.raises(InvalidInputException, match="deeper than the limit of 32"):
        CreateVersion(files=version_of(A).files, details={"a": deep})


def test_a_digest_is_of_the_files_not_of_their_order() -> None:
    assert manifest_digest(version_of(A, B).files) == manifest_digest(version_of(B, A).files)
    assert manifest_digest(version_of(A, B).files) != manifest_digest(version_of(A, C).files)
