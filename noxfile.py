"""What CI runs, a session at a time. ``nox`` alone runs just that; the other sessions take long, or a quiet machine."""

import json
import os
import shutil
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_external_run = True
nox.options.sessions = ["tests", "lowest", "lint", "types", "docs", "quickstart", "size"]
# Those that `pythons` does not find, it skips, and says so at the end: on CI, too.
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
# pyenv has a command for each version that it has, but most fail: it runs those that were chosen.
_PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *map(str, sorted(_PYENV.glob("versions/*/bin")))])

PROJECT = tomllib.loads(Path("pyproject.toml").read_text())
#: Twice as many workers as CI has cores: much of the suite waits, for a disk, a server or a lock.
PARALLEL = ["-n", "4"]
#: So many tests may fail beside others, and pass alone, before that is a fault.
TRIED_AGAIN = 3
#: Processes that are killed, servers that are slow, bytes that are random: their time is the tests' own.
SLOW = [
    "tests/download/torture",
    "tests/examples",
    "tests/download/test_fault_sequences.py",
    "tests/download/test_connections.py",
    "tests/formats",
]
#: Of the four kinds of session two that differ in colour and database both.
CROSSED = "not async-sqlite and not (sync-postgresql and not async-postgresql)"
LESS = [*(f"--ignore={path}" for path in SLOW), "-k", CROSSED]
EVERYTHING = "-e.[async,asyncpg,examples,notebook,object-storage,plots,postgres]"


def groups(*names: str) -> list[str]:
    """Return the requirements of dependency groups."""
    return [requirement for name in names for requirement in PROJECT["dependency-groups"][name]]


def run_in_parallel(session: nox.Session, *arguments: str) -> None:
    """Run pytest in processes beside each other, then what failed there once more, alone, as CPython's own tests do.

    A test that waits for another process, or for time, can fail for want of a processor. It is printed either way.
    """
    last = Path(".pytest_cache/v/cache/lastfailed")
    last.unlink(missing_ok=True)
    session.run("pytest", *PARALLEL, *arguments, success_codes=[0, 1])
    failed = json.loads(last.read_text()) if last.exists() else {}
    if len(failed) > TRIED_AGAIN:
        session.error(f"{len(failed)} tests failed")
    if failed:
        session.log("Once more, alone: %s", ", ".join(failed))
        session.run("pytest", *failed)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the whole suite, on SQLite and, where it answers, PostgreSQL."""
    session.install(EVERYTHING, *groups("test"))
    if session.posargs:
        session.run("pytest", *session.posargs)
    else:
        run_in_parallel(session)


@nox.session
def lowest(session: nox.Session) -> None:
    """Run the suite, shortened, on the oldest versions that pyproject.toml admits."""
    named = ("async", "postgres", "notebook", "object-storage")
    extras = [PROJECT["project"]["optional-dependencies"][name] for name in named]
    oldest = [line.split(",")[0].replace(">=", "==") for line in sum(extras, PROJECT["project"]["dependencies"])]
    session.install(EVERYTHING, *oldest, *groups("test"))
    if session.posargs:
        session.run("pytest", *session.posargs)
    else:
        run_in_parallel(session, *LESS)


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def pythons(session: nox.Session) -> None:
    """Run the suite, shortened as in `lowest`, on each version of Python that is on PATH or that pyenv has."""
    session.install(EVERYTHING, *groups("test"))
    if session.posargs:
        session.run("pytest", *session.posargs)
    else:
        run_in_parallel(session, *LESS)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, which package may import which, and that what is generated is up to date."""
    session.install(EVERYTHING, *groups("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")
    session.run("python", "-m", "tests.public_names", "--check")
    session.run("python", "-m", "tests.generate_async", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check that every type holds, and that everything public has one."""
    session.install(EVERYTHING, *groups("test", "types", "bench", "browser"))
    session.run("mypy")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "kamiwaza_sdk")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation without a warning, and run every example in it."""
    session.install(EVERYTHING, *groups("docs", "test"))
    session.run("sphinx-build", "-n", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")
    session.run("pytest", "--doctest-modules", "kamiwaza_sdk", "docs", "README.md", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Look at each page of the documentation in the system's Chromium: links, errors, what is cut off, the search."""
    session.install(EVERYTHING, *groups("docs", "test", "browser"))
    session.run("sphinx-build", "-q", "-n", "-W", "-b", "html", "docs", "docs/_build/html")
    session.run("pytest", "tests/site", *session.posargs)


@nox.session
def pictures(session: nox.Session) -> None:
    """Take pictures of a notebook, of pages and of the terminal, to be looked at: docs/_build/pictures."""
    session.install(EVERYTHING, *groups("docs", "test", "browser"))
    session.run("sphinx-build", "-q", "-n", "-W", "-b", "html", "docs", "docs/_build/html")
    session.run("python", "-m", "tests.site.pictures")


@nox.session
def size(session: nox.Session) -> None:
    """Count modules, lines, public names, and the files that a call runs through."""
    session.install("-e.", *groups("test"))
    session.run("python", "-m", "tests.size")


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the whole suite, children included, and report what of the code it runs: it takes twice as long so."""
    session.install(EVERYTHING, *groups("test", "coverage"))
    session.run("coverage", "erase")
    # coverage, not pytest-cov: our own pytest plugin is imported before that one could begin to measure.
    session.run("coverage", "run", "-m", "pytest", *PARALLEL, *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session
def torture(session: nox.Session) -> None:
    """Kill, damage and try at random many times as often as the suite does, and read all hostile files."""
    session.install(EVERYTHING, *groups("test"))
    tried = (
        "tests/download/torture",
        "tests/storage",
        "tests/model",
        "tests/cleanup",
        "tests/hub/test_lease_campaign.py",
    )
    session.run("pytest", *tried, "-s", *session.posargs, env={"KAMIWAZA_TEST_THOROUGH": "1"})
    # Files of these sizes: what fits is read to its end, what is larger is unknown beyond some step.
    for size in (8_000_000, 64_000_000):
        hostile = {"KAMIWAZA_TEST_HOSTILE_SIZE": str(size)}
        session.run("pytest", "tests/formats/test_hostile.py", *session.posargs, env=hostile)


@nox.session
def mirrors(session: nox.Session) -> None:
    """Put a real mirror of the Hugging Face Hub before the hub of the tests, and ask Azure's emulator for blobs.

    Then run the tests of `huggingface_hub` on the hub of the tests. All this brings too much for every run.
    """
    session.install(EVERYTHING, *groups("test"), "olah>=0.5.4")
    place = Path(session.create_tmp()).resolve()
    session.run("npm", "install", "--silent", "--prefix", str(place), "azurite@3", external=True)
    env = {"MIRRORS": "1", "AZURITE": str(place / "node_modules/.bin")}
    session.run("pytest", "tests/hub/test_olah.py", "tests/hub/test_azure.py", *session.posargs, env=env)
    needed = ("jedi", "jinja2", "numpy", "pillow", "pytest-mock", "pytest-timeout")
    session.install("pip", "huggingface-hub==2.4.0", *needed)
    wanted = ("--no-deps", "--no-binary", ":all:", "huggingface-hub==2.4.0")
    session.run("pip", "download", "--quiet", "--dest", str(place), *wanted)
    session.run("tar", "xzf", f"{place}/huggingface_hub-2.4.0.tar.gz", "-C", str(place), external=True)
    session.run("python", "-m", "tests.testing.hub_suite", f"{place}/huggingface_hub-2.4.0")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the ratios that tests/benchmarks promises, some of them beside other clients."""
    session.install(EVERYTHING, *groups("test", "bench"))
    session.run("pytest", "tests/benchmarks", "--benchmark-enable", "-s", *session.posargs)


@nox.session
def executors(session: nox.Session) -> None:
    """Mirror by the workers of Ray, which is too large for each run, and of the others."""
    session.install(EVERYTHING, "-e.[ray]", *groups("test"))
    session.run("pytest", "tests/hub/test_mirror.py", *session.posargs, env={"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"})


@nox.session
def fuzz(session: nox.Session) -> None:
    """Feed the readers of formats whatever coverage leads to, a minute unless told otherwise; and mutate pickles."""
    session.install("-e.", *groups("fuzz"))
    session.run("python", "-m", "tests.formats.fuzz", *(session.posargs or ["-max_total_time=60"]))
    session.run("python", "-W", "ignore", "-m", "tests.formats.fuzz_pickles", "--pickles", "200000")


@nox.session(venv_backend="virtualenv", python="3.11")
def oracles(session: nox.Session) -> None:
    """Compare what is said of files with PyTorch, picklescan, modelscan and skops, and of models with their programs.

    Parameters with huggingface.js, layers and heads with the classes of transformers, GGUF files with gguf-py.
    With pip, which takes PyTorch from a machine's own index where there is one: it has some GB.
    """
    session.install("-e.", *groups("test", "oracles"))
    session.run("python", "-m", "tests.formats.measure_pickles")
    session.run("python", "-m", "tests.formats.oracles")
    session.run("python", "-m", "tests.formats.config_oracles")
    session.run("python", "-m", "tests.formats.gguf_oracles")
    session.run("python", "-m", "tests.formats.skops_oracle")
    place = Path(session.create_tmp()).resolve()
    session.run("npm", "install", "--silent", "--prefix", str(place), "@huggingface/hub@2", external=True)
    session.run("python", "-m", "tests.formats.count_oracles", env={"HUGGINGFACE_JS": str(place)})


@nox.session
def licences(session: nox.Session) -> None:
    """Compare what is known of licences with the lists it was made from, which npm and PyPI hold."""
    session.install(EVERYTHING, *groups("test"))
    home = Path(session.create_tmp()).resolve()
    with session.chdir(home):
        session.run("npm", "pack", "--silent", "spdx-license-list@6.12.0", external=True)
        session.run("tar", "xzf", "spdx-license-list-6.12.0.tgz", external=True)
        wanted = "scancode-toolkit==32.5.0"
        session.install("pip")
        session.run("pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", wanted)
        session.run("tar", "xzf", "scancode_toolkit-32.5.0.tar.gz", external=True)
    env = {"KAMIWAZA_TEST_LICENCES": f"{home}/package {home}/scancode_toolkit-32.5.0"}
    session.run("pytest", "tests/formats/test_licences.py", *session.posargs, env=env)


@nox.session
def quickstart(session: nox.Session) -> None:
    """Run README's first example with no extra installed, then the first program as a new user would, twice."""
    home = str(Path(session.create_tmp()).resolve())  # a data directory that is not absolute is not used
    env = {"XDG_DATA_HOME": home, "PATH": os.environ["PATH"]}
    session.install("-e.")
    first = Path("README.md").read_text().split("```python\n")[1].split("```")[0]
    with session.chdir(home):
        shutil.rmtree("run-7", ignore_errors=True)
        session.run("python", "-c", first, env=env)
    session.install("-e.[examples]")
    session.run("python", "examples/quickstart.py", env=env)
    session.run("python", "examples/quickstart.py", env=env)


@nox.session(reuse_venv=False)
def wheel(session: nox.Session) -> None:
    """Build the wheel, install it without extras in a fresh environment, and run its command in an empty directory."""
    session.install(*groups("release"))
    home = Path(session.create_tmp()).resolve() / "empty"
    shutil.rmtree(home, ignore_errors=True)
    session.run("python", "-m", "build", "--wheel", "--outdir", str(home / "dist"))
    session.run("python", "-m", "venv", str(home / "venv"))
    python, command = str(home / "venv/bin/python"), str(home / "venv/bin/kamiwaza")
    (built,) = (home / "dist").glob("*.whl")
    session.run(python, "-m", "pip", "install", "--quiet", str(built), external=True)
    place = home / "work"
    (place / "run-7").mkdir(parents=True)
    (place / "run-7/config.json").write_text('{"hidden_size": 64}')
    env = {"XDG_DATA_HOME": str(home / "data")}
    with session.chdir(place):
        for arguments in (
            (command, "--help"),
            (command, "setup"),
            (python, "-m", "kamiwaza_sdk", "doctor"),
            (command, "register", "run-7", "--name", "classifier"),
        ):
            session.run(*arguments, env=env, external=True)
        shown = session.run(command, "list", "--json", env=env, external=True, silent=True, stderr=None)
    if [model["name"] for model in json.loads(str(shown))] != ["classifier"]:
        session.error(f"not what was registered: {shown}")


@nox.session
def release(session: nox.Session) -> None:
    """Build and check what is published, and show what fragments make of the changelog; ``-- --write`` puts it there.

    Nothing is uploaded. What is built is in dist/.
    """
    session.install(*groups("changelog", "release"))
    version = PROJECT["project"]["version"]
    changelog = Path("CHANGELOG.md")
    if "--write" in session.posargs:
        session.run("towncrier", "build", "--yes", "--version", version)
        # A section that was begun by hand goes on below the fragments.
        changelog.write_text(changelog.read_text().replace(f"## {version} (not released)\n\n", "", 1))
    else:
        session.run("towncrier", "build", "--draft", "--version", version)
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", "dist")
    built = sorted(map(str, Path("dist").iterdir()))
    session.run("twine", "check", "--strict", *built)
    session.run("check-wheel-contents", *(path for path in built if path.endswith(".whl")))
