"""What a policy's rules say of licences, code, programs and hosts, wherever a model lies."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from kamiwaza_sdk import Fetched, HubConfig, HubService, Policy, StorageService
from kamiwaza_sdk.services.hub.policy import FileFacts, Subject, check_fetched, violations_of
from kamiwaza_sdk.testing import HuggingFaceServer
from kamiwaza_sdk.types import ViolationSchema
from tests.formats.test_licences import APACHE, COMMONS_CLAUSE, MIT
from tests.hub.models import CONFIG, safetensors_model

WEIGHTS = safetensors_model(embedding=("BF16", [8, 8]))


def subject(**known: object) -> Subject:
    """Return a model of which nothing speaks against it, but for what is given."""
    usual = {"source": "/m", "addresses": (), "hub": None, "license": None, "files": (), "final": True}
    return Subject(**usual | known)  # type: ignore[arg-type]  # what tests give


def laid(directory: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    return directory


@pytest.mark.parametrize(
    ("licence", "allowed", "passes"),
    [
        ("mit", ("mit",), True),
        ("MIT", ("mit",), True),
        ("mit AND cc-by-nc-4.0", ("mit",), False),
        ("mit AND cc-by-4.0", ("mit", "cc-by-4.0"), True),
        ("mit, cc-by-nc-4.0", ("mit",), False),
        ("mit, cc-by-4.0", ("mit", "cc-by-4.0"), True),
        ("mit OR gpl-3.0", ("mit",), True),
        ("gpl-3.0 or lgpl-3.0", ("mit",), False),
        ("(mit OR gpl-3.0) AND cc-by-nc-4.0", ("mit",), False),
        ("(mit OR gpl-3.0) AND cc-by-4.0", ("mit", "cc-by-4.0"), True),
        ("mit OR gpl-3.0 AND cc-by-4.0", ("cc-by-4.0",), False),
        ("gpl-2.0 WITH classpath-exception", ("gpl-2.0",), False),
        ("gpl-2.0 WITH Classpath-exception", ("gpl-2.0 with classpath-exception",), True),
        ("gpl-2.0+", ("gpl-2.0",), False),
        ("openrail++", ("openrail++",), True),
        ("llama3.1", ("llama3.1",), True),
        ("llama3.1", ("llama3",), False),
        ("other", ("mit",), False),
        ("other AND mit", ("mit",), False),
        ("mit-0", ("mit",), False),
        ("mit and", ("mit",), False),
        ("mit) OR (mit", ("mit",), False),
        ("mit/apache-2.0", ("mit", "apache-2.0"), False),
        ("(" * 5000 + "mit" + ")" * 5000, ("mit",), False),
        ("", ("mit",), False),
    ],
)
def test_an_expression_is_allowed_where_what_it_asks_for_is(
    licence: str, allowed: tuple[str, ...], passes: bool
) -> None:
    said = violations_of(subject(license=licence), Policy(licenses=allowed))
    assert [one.rule for one in said] == ([] if passes else ["licenses"])


def test_a_violation_says_whether_something_is_bad_or_could_not_be_read() -> None:
    policy = Policy(licenses=("mit",), formats=("safetensors",), worst_pickle="safe")
    bad = [FileFacts("a.bin", 1, "pickle", "dangerous", False)]
    unreadable = [FileFacts("b.bin", 1, None, None, False, "it is malformed")]
    said = violations_of(subject(license="gpl-3.0", files=bad), policy)
    assert {(one.rule, one.kind) for one in said} == {(rule, "bad") for rule in ("licenses", "formats", "worst_pickle")}
    said = violations_of(subject(license=None, files=unreadable), policy)
    assert {one.kind for one in said} == {"unreadable"}
    assert ViolationSchema.model_validate_json(said[0].model_dump_json()) == said[0]


@pytest.mark.parametrize(
    ("source", "hub", "addresses", "passes"),
    [
        ("https://models.example.org/x", None, (), True),
        ("http://MODELS.example.org:8080/x", None, (), True),
        ("https://other.net/x", None, (), False),
        *(
            (f"{scheme}://models.example.org/x", None, (), False)
            for scheme in ("s3", "gs", "gcs", "az", "abfs", "ollama")
        ),
        ("s3://models.example.org/x", None, ("s3://models.example.org/x/a",), False),
        ("s3://bucket/x", None, ("https://models.example.org/x/a",), True),
        ("https://models.example.org/x", None, ("https://models.example.org/a", "s3://models.example.org/b"), False),
        ("ollama://models.example.org/me/x", "models.example.org", (), True),
        ("ollama://models.example.org/x", "ollama", (), False),
        ("hf://models.example.org/x@1", "huggingface", (), False),
        ("hf://org/x@1", "hub.example.org", (), True),
        ("hf://models.example.org/x@1", None, (), False),
    ],
)
def test_an_entry_for_a_host_matches_hosts_and_no_bucket_or_image(
    source: str, hub: str | None, addresses: tuple[str, ...], passes: bool
) -> None:
    asked = subject(source=source, hub=hub, addresses=addresses)
    said = violations_of(asked, Policy(sources=("*.example.org",)))
    assert [one.rule for one in said] == ([] if passes else ["sources"])


def test_a_bucket_passes_no_entry_that_every_host_does_but_one_that_names_it() -> None:
    bucket = subject(source="s3://bucket/x")
    assert violations_of(bucket, Policy(sources=("*",)))
    assert violations_of(bucket, Policy(sources=("s3://bucket/",))) == ()


CODE = {
    "config.json": {"auto_map": {"AutoModel": "other/repo--module.Class"}},
    "tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["tok.Slow", None]}},
    "model_index.json": {"custom_pipeline": "my_pipeline"},
    "preprocessor_config.json": {"inner": [{"auto_map": {"AutoProcessor": "p.P"}}]},
}


@pytest.mark.parametrize("name", [*CODE, "modeling_x.py", "unet/code.PY"])
async def test_code_that_a_model_brings_or_names_is_told_and_refused(
    name: str, tmp_path: Path, hub: HubService
) -> None:
    files = {"model.safetensors": WEIGHTS, "config.json": CONFIG}
    files[name] = json.dumps(CODE[name]).encode() if name in CODE else b"pass"
    model = laid(tmp_path / "model", files)
    for policy, rules in ((Policy(remote_code=False), ["remote_code"]), (Policy(remote_code=True), []), (Policy(), [])):
        plan = await hub.plan(model, policy=policy)
        assert [(one.rule, one.path, one.kind) for one in plan.violations] == [(rule, name, "bad") for rule in rules]
        assert list(plan.details.remote_code) == [name]
    fetched = await hub.fetch(model)
    said = await asyncio.to_thread(check_fetched, fetched, Policy(remote_code=False), hub.storage)
    assert [(one.rule, one.path) for one in said] == [("remote_code", name)]
    assert isinstance(told := fetched.details["remote_code"], dict)
    assert list(told) == [name]


async def test_a_configuration_that_cannot_be_read_is_not_called_free_of_code(tmp_path: Path, hub: HubService) -> None:
    model = laid(tmp_path / "model", {"model.safetensors": WEIGHTS, "tokenizer_config.json": b"{"})
    plan = await hub.plan(model, policy=Policy(remote_code=False))
    assert [(one.rule, one.path, one.kind) for one in plan.violations] == [
        ("remote_code", "tokenizer_config.json", "unreadable")
    ]


async def test_a_table_a_licence_and_a_font_beside_weights_pass_and_a_program_does_not(
    tmp_path: Path, hub: HubService
) -> None:
    others = {"data.csv": b"a,b\n1,2\n", "LICENSE": APACHE.encode(), "font.ttf": b"\0\1\0\0\0\x0c\0\x80" + bytes(64)}
    programs = {
        "run": b"\x7fELF\x02\x01\x01" + bytes(57),
        "run.exe": b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0" + bytes(64),
        "lib.dylib": b"\xcf\xfa\xed\xfe" + bytes(60),
    }
    model = laid(tmp_path / "model", {"model.safetensors": WEIGHTS, "notes.txt": b"MZ is no program.", **others})
    policy = Policy(formats=("safetensors",))
    assert (await hub.plan(model, policy=policy)).violations == ()
    laid(model, programs)
    plan = await hub.plan(model, policy=policy)
    assert [(one.path, one.reason) for one in plan.violations] == [(name, "is program") for name in sorted(programs)]
    fetched = await hub.fetch(model)
    assert set(await asyncio.to_thread(check_fetched, fetched, policy, hub.storage)) == set(plan.violations)


@pytest.mark.parametrize(
    "case",
    [
        ("license: mit", "mit", None, "mit"),
        ("license:\n- mit\n- cc-by-nc-4.0", ["mit", "cc-by-nc-4.0"], None, "mit AND cc-by-nc-4.0"),
        ("license: mit", "mit", APACHE, "mit AND apache-2.0"),
        ("license: other\nlicense_name: mit", "other", None, "other"),
        ("tags: [a]", None, MIT, "mit"),
        ("license: mit OR gpl-3.0", "mit OR gpl-3.0", MIT, "(mit OR gpl-3.0) AND mit"),
    ],
)
async def test_the_licence_is_the_same_here_from_a_hub_and_adopted(
    case: tuple[str, object, str | None, str], tmp_path: Path, storage: StorageService
) -> None:
    card, license_, text, expected = case
    files = {"README.md": f"---\n{card}\n---\n".encode(), "config.json": CONFIG, "model.safetensors": WEIGHTS}
    files |= {} if text is None else {"LICENSE": text.encode()}
    model = laid(tmp_path / "models" / "org" / "tiny", files)
    policy = Policy(licenses=("mit",))
    with HuggingFaceServer() as server:
        server.add_repository("org/tiny", files, license=license_)  # type: ignore[arg-type]  # hubs answer lists, too
        config = await asyncio.to_thread(lambda: HubConfig(hf_endpoint=server.endpoint))
        hub = HubService(storage=storage, config=config)
        there = await hub.plan("hf://org/tiny", policy=policy)
        fetched = await hub.fetch("hf://org/tiny")
    here = await hub.plan(model, policy=policy)
    local = await hub.fetch(model)
    adopted = await hub.adopt("lmstudio://org/tiny", cache=tmp_path / "models")
    assert {one.license for one in (there, here, fetched, local, adopted)} == {expected}
    for one in (fetched, local, adopted):
        assert await asyncio.to_thread(check_fetched, one, policy, storage) == there.violations == here.violations


UNKNOWN = ("has the licence {}, and a text that is none that is known: LICENSE", "unreadable")


@pytest.mark.parametrize(
    "case",
    [
        ("mit", MIT, ("mit",), None),
        ("mit", MIT.replace("Copyright (c) 2004", "Copyright 2026 A, B"), ("mit",), None),
        ("mit", " \n", ("mit",), None),
        ("mit", MIT + COMMONS_CLAUSE, ("mit",), UNKNOWN),
        ("MIT", "You may do what you like but on Sundays.", ("mit",), UNKNOWN),
        ("apache-2.0", "This model is under the Apache License, Version 2.0.", ("apache-2.0",), UNKNOWN),
        ("gpl", "Some words.", ("gpl",), UNKNOWN),
        ("mit OR other", MIT + COMMONS_CLAUSE, ("mit",), UNKNOWN),
        ("mit OR other", MIT + COMMONS_CLAUSE, ("mit", "other"), None),
        ("other", "The licence of Example, Inc.", ("other",), None),
        ("llama3.1", "LLAMA 3.1, and how it may be used.", ("llama3.1",), None),
        ("openrail++", "You may not do harm.", ("openrail++",), None),
        ("other", "The licence of Example, Inc.", ("mit",), ("has the licence other", "bad")),
        (None, MIT + COMMONS_CLAUSE, ("mit",), ("has no known licence", "unreadable")),
    ],
)
async def test_a_text_that_is_none_known_passes_only_as_that_of_a_licence_of_ones_own(
    case: tuple[str | None, str, tuple[str, ...], tuple[str, str] | None], tmp_path: Path, storage: StorageService
) -> None:
    named, text, allowed, said = case
    card = "tags: [a]" if named is None else f"license: {named}"
    files = {"README.md": f"---\n{card}\n---\n".encode(), "LICENSE": text.encode(), "model.safetensors": WEIGHTS}
    model = laid(tmp_path / "models" / "org" / "tiny", files)
    policy = Policy(licenses=allowed)
    with HuggingFaceServer() as server:
        server.add_repository("org/tiny", files, license=named)
        config = await asyncio.to_thread(lambda: HubConfig(hf_endpoint=server.endpoint))
        hub = HubService(storage=storage, config=config)
        there = await hub.plan("hf://org/tiny", policy=policy)
        fetched = await hub.fetch("hf://org/tiny")
    here = await hub.plan(model, policy=policy)
    adopted = await hub.adopt("lmstudio://org/tiny", cache=tmp_path / "models")
    for one in (fetched, await hub.fetch(model), adopted):
        assert await asyncio.to_thread(check_fetched, one, policy, storage) == there.violations == here.violations
    expected = [] if said is None else [(said[0].format(named), said[1])]
    assert [(one.reason, one.kind) for one in here.violations] == expected


async def test_a_licence_that_is_one_too_many_to_be_read_is_not_known(tmp_path: Path, storage: StorageService) -> None:
    many = {f"LICENSE-{index:02}": MIT.encode() for index in range(32)}
    card = {"README.md": b"---\nlicense: mit\n---\n"}
    hub, policy = HubService(storage=storage), Policy(licenses=("mit",))
    assert (await hub.plan(laid(tmp_path / "model", card | many), policy=policy)).violations == ()
    plan = await hub.plan(laid(tmp_path / "model", {"LICENSE-99": MIT.encode()}), policy=policy)
    assert [(one.kind, "LICENSE-99" in one.reason) for one in plan.violations] == [("unreadable", True)]
    fetched = await hub.fetch(tmp_path / "model")
    assert await asyncio.to_thread(check_fetched, fetched, policy, storage) == plan.violations


def test_what_was_fetched_before_licences_were_joined_is_read_all_the_same(storage: StorageService) -> None:
    old = Fetched(source="/m", name="m", files=(), bytes_fetched=0, bytes_reused=0, license="mit, cc-by-nc-4.0")
    assert [one.rule for one in check_fetched(old, Policy(licenses=("mit",)), storage)] == ["licenses"]
