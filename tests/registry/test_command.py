"""The command ``kamiwaza``: what each prints, how each ends, and what it imports."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from conftest import quantized
from kamiwaza_sdk import MissingDependencyException, Registry, StorageConfig, StorageService
from kamiwaza_sdk.cli.parser import COMMANDS, main
from kamiwaza_sdk.testing import FaultyServer, HuggingFaceServer
from tests.hub.models import gguf_model
from tests.serving import Server

ROOT: Final = Path(__file__).parents[2]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process, and returns how it ended and what it printed where."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        end = main(arguments)
        return end, *capsys.readouterr()

    return run


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """What a training has left, registered nowhere."""
    directory = tmp_path / "trained"
    directory.mkdir()
    (directory / "config.json").write_text('{"hidden_size": 64}')
    return directory


def as_json(run: Run, *arguments: str) -> Any:  # Any: JSON
    end, out, _ = run(*arguments, "--json")
    assert end == 0
    return json.loads(out)


def test_a_model_goes_through_every_command_as_json(run: Run, trained: Path, server: Server, tmp_path: Path) -> None:
    assert as_json(run, "setup")["database"].startswith("sqlite:///")
    url = server.add("/m/model.onnx", body=b"weights")
    assert as_json(run, "pull", url, "--name", "pulled", "--alias", "best", "--version", "v1")["aliases"] == ["best"]
    one = as_json(run, "register", str(trained), "--name", "own", "--tag", "f1=0.9", "--actor", "me")
    assert (one["model_name"], one["number"], one["tags"]) == ("own", 1, {"f1": "0.9"})
    (trained / "config.json").write_text('{"hidden_size": 128}')
    assert as_json(run, "register", str(trained), "--name", "own")["number"] == 2
    assert [model["name"] for model in as_json(run, "list")] == ["own", "pulled"]
    assert [version["number"] for version in as_json(run, "ls", "own")] == [1, 2]
    assert [model["name"] for model in as_json(run, "find", "own")] == ["own"]
    where = '{"field": "name", "op": "eq", "value": "pulled"}'
    assert [model["name"] for model in as_json(run, "find", "--where", where)] == ["pulled"]
    assert as_json(run, "show", "own")["name"] == "own"
    assert as_json(run, "show", "own:2")["number"] == 2
    changes = as_json(run, "diff", "own:1", "own:2")["config"]["config.json"]
    assert [(change["key"], change["before"], change["after"]) for change in changes] == [("hidden_size", 64, 128)]
    assert as_json(run, "tag", "own:2", "a=1", "b=x=y") == {"a": "1", "b": "x=y"}
    assert as_json(run, "alias", "own:1", "production")["aliases"] == ["production"]
    assert as_json(run, "alias", "own:2", "production")["number"] == 2
    assert as_json(run, "alias", "own@production", "--rollback")["number"] == 1
    path = Path(as_json(run, "materialize", "own@production")["path"])
    assert (path / "config.json").read_text() == '{"hidden_size": 64}'
    assert as_json(run, "materialize", "own:2", str(tmp_path / "out"), "--writable")["path"] == str(tmp_path / "out")
    assert as_json(run, "plan", str(trained))["manifest"]["files"][0]["path"] == "config.json"
    assert "variants" in str(as_json(run, "inspect", "own:2"))
    events = as_json(run, "events", "own", "--limit", "50")
    assert (events[-1]["kind"], events[-1]["actor"], len(events) > 5) == ("model.created", "me", True)


def test_a_hub_is_searched_and_another_tools_cache_adopted(
    run: Run, hugging_face_server: HuggingFaceServer, tmp_path: Path
) -> None:
    hugging_face_server.add_repository("org/minilm", {"config.json": b"{}"})
    found = as_json(run, "search", "minilm", "--hub", hugging_face_server.endpoint, "--limit", "3")
    assert [repository["name"] for repository in found] == ["org/minilm"]
    (tmp_path / "lm/org/tiny").mkdir(parents=True)
    (tmp_path / "lm/org/tiny/tiny-Q8_0.gguf").write_bytes(b"weights")
    adopting = ("adopt", "lmstudio://org/tiny", "--cache", str(tmp_path / "lm"), "--force")
    assert as_json(run, *adopting, "--name", "adopted")["model_name"] == "adopted"


def test_what_deletes_shows_it_first_and_does_it_with_yes(run: Run, trained: Path) -> None:
    for _ in range(2):
        run("register", str(trained), "--name", "own", "--alias", "old", "--tag", "f1=0.9")
    for arguments, shown in (
        (("tag", "own:1", "--remove", "f1"), "take the tags f1 from own:1"),
        (("alias", "own@old", "--remove"), "take the alias old from own:1"),
        (("rm", "own:1"), "delete own:1 for good; its files stay in the store"),
        (("rm", "own"), "delete the model own with 0 versions; it can be restored"),
    ):
        end, out, error = run(*arguments)
        assert (end, out, error) == (4, f"would {shown}\n", "nothing was done; give --yes to do it\n")
        assert run(*arguments, "--yes")[0] == 0
    assert run("list") == (0, "", "")


def test_what_is_in_the_way_of_deleting_is_told_before_it_is_asked_for(run: Run, trained: Path) -> None:
    run("register", str(trained), "--name", "own", "--alias", "production")
    for arguments in (("rm", "own:1"), ("rm", "own:1", "--yes")):
        end, out, error = run(*arguments)
        assert (end, out) == (4, "")
        assert error == "error: Version own:1 is in use: production of 'own' leads to it; move or delete that first\n"
    assert run("list", "own")[1].splitlines()[1].startswith("own:1 ")


def test_what_fits_is_pulled_and_laid_out_for_another_program(
    run: Run, hugging_face_server: HuggingFaceServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HUB_SERVICE_HF_ENDPOINT", hugging_face_server.endpoint)
    blocks = {"Q8_0": ("Q8_0", 512), "Q4_K_M": ("Q4_K", 64)}  # of 32 elements, of 256
    files = {f"llama-{name}.gguf": gguf_model(tmp_path / name, kind, blocks=n) for name, (kind, n) in blocks.items()}
    hugging_face_server.add_repository("org/llama", {"README.md": b"# Llama\n", **files})
    planned = as_json(run, "plan", "hf://org/llama", "--context-length", "10")
    memory = planned["variants"][0]["memory"]
    assert memory["total"] == memory["weights"] + memory["companions"] + memory["cache"] + memory["state"]
    needed = min(one["memory"]["weights"] + one["memory"]["cache"] for one in planned["variants"])

    pulling = ("pull", "hf://org/llama", "--name", "llama", "--context-length", "10", "--ignore", "*.md")
    pulled = as_json(run, *pulling, "--fits", str(needed))
    assert [file["path"] for file in pulled["files"]] == ["llama-Q4_K_M.gguf"]
    assert run(*pulling, "--fits", "1 KiB")[0] == 5
    assert as_json(run, "materialize", "llama", "ollama", "--layout", "ollama")["path"].endswith("ollama")
    assert Path("ollama/manifests/registry.ollama.ai/library/llama/1").is_file()
    assert as_json(run, "materialize", "llama", "hub", "--layout", "huggingface")["path"].endswith("hub")


@pytest.mark.parametrize("bringing", [["register", "trained"], ["pull", "trained"]])
def test_a_policy_is_a_file(run: Run, tmp_path: Path, bringing: list[str]) -> None:
    trained, policy = Path("trained"), tmp_path / "policy.json"
    trained.mkdir()
    (trained / "weights.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    policy.write_text('{"worst_pickle": "safe"}')
    planned = as_json(run, "plan", "trained", "--policy", str(policy))
    assert [violation["rule"] for violation in planned["violations"]] == ["worst_pickle"]
    end, _, error = run(*bringing, "--policy", str(policy), "--alias", "production")
    assert (end, "is a pickle found dangerous (worst_pickle)" in error) == (5, True)
    policy.write_text('{"worst_pickel": "safe"}')
    end, _, error = run(*bringing, "--policy", str(policy))
    assert (end, str(policy) in error, "worst_pickel" in error) == (2, True, True)


@pytest.mark.parametrize(
    ("arguments", "end", "kind"),
    [
        (["show", "nothing"], 3, "ModelNotFoundException"),
        (["show", "../x"], 2, "InvalidInputException"),
        (["register", "nowhere"], 2, "InvalidSourceException"),
        (["pull", "http://127.0.0.1:9/x.bin"], 6, "DownloadInterruptedException"),
        (["find", "--where", "{"], 2, "InvalidInputException"),
        (["alias", "own:1"], 2, "InvalidInputException"),
        (["tag", "own:1", "novalue"], 2, "InvalidInputException"),
        (["list", "--database", "mysql://x/y"], 8, "DatabaseUnsupportedException"),
        (["list", "--database", "postgresql://127.0.0.1:9/x"], 8, "DatabaseConnectionException"),
    ],
)
def test_how_a_command_ends_says_what_went_wrong(run: Run, arguments: list[str], end: int, kind: str) -> None:
    got, out, error = run(*arguments, "--json")
    assert (got, out) == (end, "")
    assert json.loads(error) == {"error": kind, "message": json.loads(error)["message"], "exit_code": end}
    assert run(*arguments)[2].startswith("error: ")


def test_what_to_do_is_told_in_options_of_the_command(run: Run, tmp_path: Path) -> None:
    """Where the library says `force=True`."""
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/model.safetensors").write_text(
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{64 * '0'}\nsize 3\n"
    )
    assert as_json(run, "register", str(tmp_path / "bad"), "--name", "bad")["status"] == "failed"
    end, _, error = run("materialize", "bad:1", str(tmp_path / "out"))
    assert (end, error.endswith("; --force lays it out all the same\n")) == (5, True)


def test_bars_that_nothing_draws_are_refused_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch, faulty_server: FaultyServer, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    url = faulty_server.add("/m.bin", body=b"weights")
    registry = Registry("sqlite://", storage=StorageService(StorageConfig(root=tmp_path / "store")))
    with registry, pytest.raises(MissingDependencyException, match="tqdm"):
        registry.pull(url, name="m", progress=True)
    assert faulty_server.requests_to("/m.bin") == []


def test_a_plan_that_does_not_fit_is_refused(run: Run, hugging_face_server: HuggingFaceServer) -> None:
    hugging_face_server.add_repository("org/m", {"config.json": b"{}", "pytorch_model.bin": bytes(2048)})
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HUB_SERVICE_HF_ENDPOINT", hugging_face_server.endpoint)
        assert run("plan", "hf://org/m", "--fits", "1 KiB")[0] == 5


def test_the_doctor_names_what_is_wrong_and_the_way_out(run: Run, tmp_path: Path) -> None:
    end, out, _ = run("doctor")
    assert (end, "kamiwaza setup" in out) == (1, True)
    run("setup")
    found = {one["what"]: one["ok"] for one in as_json(run, "doctor")}
    assert (found["database"], found["store"], found["hub"]) == (True, True, True)
    (tmp_path / "file").touch()
    wrong = json.loads(run("doctor", "--store", str(tmp_path / "file"), "--json")[1])
    assert [one["what"] for one in wrong if not one["ok"]] == ["store"]


def test_the_doctor_looks_at_shared_stores(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("setup")
    monkeypatch.setenv("STORAGE_SERVICE_REMOTE", (tmp_path / "nfs").as_uri())
    monkeypatch.setenv("STORAGE_SERVICE_TIERS", str(tmp_path / "disk"))
    found = {one["what"]: one["found"] for one in as_json(run, "doctor") if one["ok"]}
    assert found["shared store"] == f"{(tmp_path / 'nfs').as_uri()}, writable"
    assert found["tier"] == f"{(tmp_path / 'disk').as_uri()}, answers"
    (tmp_path / "nfs").rename(tmp_path / "elsewhere")
    (tmp_path / "nfs").touch()
    wrong = json.loads(run("doctor", "--json")[1])
    assert "shared store" in [one["what"] for one in wrong if not one["ok"]]


def test_many_models_are_mirrored_by_the_command(run: Run, trained: Path, tmp_path: Path) -> None:
    end, out, _ = run("mirror", str(trained), str(tmp_path / "missing"))
    assert (end, "InvalidSourceException" in out) == (1, True)
    assert run("mirror", str(trained))[0] == 0
    end, out, _ = run("mirror", "no-such-model", str(trained))
    assert (end, "ModelNotFoundException" in out, "trained" in out) == (1, True, True)
    assert run("mirror")[0] != 0


def _in_a_process(*arguments: str, **more: Any) -> "subprocess.CompletedProcess[str]":  # Any: of subprocess
    command = [sys.executable, "-m", "kamiwaza_sdk", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)


def test_help_and_completion_import_neither_sqlalchemy_nor_aiohttp() -> None:
    code = """
import sys
from kamiwaza_sdk.cli.parser import main
try:
    main(["pull", "--help"])
except SystemExit as ended:
    assert ended.code == 0
assert main(["completion", "bash"]) == 0
print(sorted({name.partition(".")[0] for name in sys.modules} & {"aiohttp", "alembic", "pydantic", "sqlalchemy"}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.endswith("\n[]\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_has_every_command_and_option(run: Run, shell: str, tmp_path: Path) -> None:
    end, script, _ = run("completion", shell)
    assert end == 0
    for command in COMMANDS:
        assert re.search(rf"\b{command.name}\b", script)
    assert "context-length" in script
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True, timeout=60)


def test_bash_completes_commands_and_their_options(run: Run, tmp_path: Path) -> None:
    (tmp_path / "script").write_text(run("completion", "bash")[1])

    def completed(*words: str) -> list[str]:
        asked = f"COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}"
        code = f'. {tmp_path}/script; {asked}; _kamiwaza; echo "${{COMPREPLY[@]}}"'
        return subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert completed("kamiwaza", "reg") == ["register"]
    assert completed("kamiwaza", "ls", "--js") == ["--json"]
    assert completed("kamiwaza", "completion", "z")[0] == "zsh"


def test_without_a_command_there_is_help_and_a_version_where_it_is_asked_for(run: Run) -> None:
    end, out, error = run()
    assert (end, out, "usage: kamiwaza" in error) == (2, "", True)
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run("--version")[1])


def test_an_interrupt_ends_with_130_and_a_closed_pipe_with_0(server: Server, tmp_path: Path, trained: Path) -> None:
    url = server.add("/m/a.bin", body=bytes(10), stall_after=5)
    command = [sys.executable, "-m", "kamiwaza_sdk", "pull", url]
    pulling = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stalled.wait(30)
        pulling.send_signal(signal.SIGINT)
        assert (*pulling.communicate(timeout=60), pulling.returncode) == ("", "", 130)
    finally:
        pulling.kill()
    script = (
        f"{shlex.join([sys.executable, '-m', 'kamiwaza_sdk', 'completion', 'fish'])} | true; exit ${{PIPESTATUS[0]}}"
    )
    assert subprocess.run(["bash", "-c", script], check=False, timeout=60).returncode == 0


def test_each_exit_code_that_the_page_lists_is_reached(server: Server, trained: Path, tmp_path: Path) -> None:
    (trained / "weights.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    (tmp_path / "policy.json").write_text('{"worst_pickle": "safe"}')
    (tmp_path / "large").mkdir()
    (tmp_path / "large/weights.bin").write_bytes(bytes(2 * 1024**2))
    command = shlex.join([sys.executable, "-m", "kamiwaza_sdk"])
    url = server.add("/m/a.bin", body=bytes(10), stall_after=5)
    lines = {
        1: f"{command} doctor",  # nothing is set up yet
        0: f"{command} setup",
        2: f"{command} show ../x",
        3: f"{command} show nothing",
        4: f"{command} register {trained} --name own --force; {command} rm own",  # no --yes
        5: f"{command} register {trained} --policy {tmp_path}/policy.json --alias best",
        6: f"{command} pull http://127.0.0.1:9/x.bin",
        7: f"ulimit -f 1024; {command} register {tmp_path}/large",
        8: f"{command} list --database postgresql://127.0.0.1:9/x",
        130: f"exec {command} pull {url}",
    }
    page = (ROOT / "docs/howto/command.md").read_text()
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == set(lines)
    for code, line in lines.items():
        running = subprocess.Popen(["bash", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            if code == 130:
                assert server.stalled.wait(30)
                running.send_signal(signal.SIGINT)
            _, error = running.communicate(timeout=60)
        finally:
            running.kill()
        assert (running.returncode, "Traceback" in error) == (code, False), (line, error)


def test_the_console_script_runs_and_prints_only_the_result() -> None:
    done = _in_a_process("list", "--json", "--database", "sqlite://")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


@pytest.mark.parametrize("name", ["howto/command", "tasks"])
def test_what_the_page_shows_is_what_the_commands_print(
    run: Run, name: str, server: Server, hugging_face_server: HuggingFaceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines after ``$`` are run in an empty directory; ``…`` in what follows stands for anything."""
    monkeypatch.setenv("HUB_SERVICE_HF_ENDPOINT", hugging_face_server.endpoint)
    hugging_face_server.add_repository("org/llama-gguf", quantized(), license="apache-2.0")
    url = server.add("/minilm/model.onnx", body=b"weights")
    blocks = re.findall(r"^```console\n(.*?)^```", (ROOT / f"docs/{name}.md").read_text(), re.MULTILINE | re.DOTALL)
    for number in (7, 8):
        Path(f"run-{number}").mkdir()
        Path(f"run-{number}/config.json").write_text(f'{{"model_type": "bert", "hidden_size": {8 * number}}}')
        Path(f"run-{number}/model.onnx").write_bytes(b"weights")
    Path("policy.json").write_text('{"licenses": ["apache-2.0"], "worst_pickle": "safe", "needs_digests": true}')
    steps = [step for block in blocks for step in re.split(r"^\$ ", block, flags=re.MULTILINE) if step]
    assert len(steps) >= 8
    for step in steps:
        line, _, expected = step.partition("\n")
        arguments = shlex.split(line.replace("https://example.org/minilm/model.onnx", url))
        assert arguments[0] == "kamiwaza"
        _, out, error = run(*arguments[1:])
        pattern = re.escape(expected.strip()).replace("…", ".*")
        assert re.fullmatch(pattern, (out + error).strip(), re.DOTALL), (line, out + error)


def test_the_store_is_looked_after(run: Run, trained: Path, tmp_path: Path) -> None:
    """What was deleted goes when it is pruned, what is damaged is told, and brought again from where it came."""
    run("register", str(trained), "--name", "kept")
    (trained / "config.json").write_text('{"hidden_size": 128}')
    gone = as_json(run, "register", str(trained), "--name", "gone")
    (trained / "config.json").write_text('{"hidden_size": 64}')
    assert as_json(run, "du")["blobs"] == 2
    assert as_json(run, "verify", "--read")["problems"] == []
    run("rm", f"gone:{gone['number']}", "--yes")
    end, out, err = run("prune", "--unused-for", "0")
    assert (end, "1 blob may go" in out, "--yes" in err) == (4, True, True)
    assert as_json(run, "prune", "--unused-for", "0", "--yes")["removed"]["blobs"] == 1
    assert as_json(run, "du")["blobs"] == 1
    (blob,) = StorageService().list_blobs()
    blob.path.unlink()
    end, out, _ = run("verify")
    assert (end, "missing" in out) == (1, True)
    assert run("repair")[0] == 4
    assert run("repair", "--yes")[0] == 0
    assert run("verify", "--read")[0] == 0


def test_records_go_to_another_registry_and_files_follow(run: Run, trained: Path, tmp_path: Path) -> None:
    as_json(run, "register", str(trained), "--name", "own", "--alias", "best")
    assert as_json(run, "export", "models.jsonl")["models"] == 1
    other = ("--database", f"sqlite:///{tmp_path}/other.db", "--store", str(tmp_path / "other"))
    assert as_json(run, "import", "models.jsonl", *other)["created"] == 1
    assert run("import", "models.jsonl", *other)[0] != 0
    assert as_json(run, "import", "models.jsonl", "--on-conflict", "skip", *other)["skipped"] == 1
    path = Path(as_json(run, "materialize", "own@best", *other)["path"])
    assert (path / "config.json").read_text() == (trained / "config.json").read_text()


def test_a_registry_that_has_imported_keeps_what_lies_in_the_same_store(
    run: Run, trained: Path, tmp_path: Path
) -> None:
    """What dev has deleted stays while prod, which has only read the export, refers to it."""
    prod = f"sqlite:///{tmp_path}/prod.db"
    run("register", str(trained), "--name", "own")
    run("export", "models.jsonl")
    assert run("import", "models.jsonl", "--database", prod)[0] == 0
    assert run("rm", "own:1", "--yes")[0] == 0
    assert run("prune", "--unused-for", "0", "--yes")[0] != 0
    assert as_json(run, "prune", "--unused-for", "0", "--yes", "--also", prod)["removed"]["blobs"] == 0
    assert run("verify", "--read", "--database", prod)[0] != 0  # dev's has to be named, too
    path = Path(as_json(run, "materialize", "own", "--database", prod)["path"])
    assert (path / "config.json").read_text() == (trained / "config.json").read_text()
