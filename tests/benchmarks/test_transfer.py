"""What transfers cost over floors that are measured in the same run.

The server is nginx on loopback, source and destination are in memory (tmpfs at /dev/shm) but for the row of the disk,
and all share the machine's cores. Each contestant is a process of its own, all run by turns, the least of 7 counts.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from kamiwaza_sdk.testing import FaultyServer, GeneratedBody, Truncate
from tests.benchmarks.costs import REPOSITORY, Cost, Costs, by_turns, command, cpu, ratio, seconds, transfer
from tests.benchmarks.ratio import Ratio, check
from tests.download.tls import server_context
from tests.nginx import Nginx, serving

MIB = 1024**2
BODY = GeneratedBody(1024 * MIB)
MEMORY = Path("/dev/shm")
COUNT, SIZE, CONCURRENCY = 1000, 64 * 1024, 8
LATENCY = 0.05
#: How huggingface_hub asks for a file, and what it wants to be told of it.
HUB = "location /org/repo/resolve/main/ { alias %s/nginx/root/; add_header X-Repo-Commit " + 40 * "0" + "; }"


@contextmanager
def in_memory() -> Generator[Path]:
    """A directory in memory."""
    for program in ("curl", "aria2c"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    if not MEMORY.is_dir():
        pytest.skip("needs tmpfs at /dev/shm")
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def ground() -> Generator[Path]:
    with in_memory() as directory:
        yield directory


@pytest.fixture(scope="module")
def sha256() -> str:
    return BODY.sha256()


@pytest.fixture(scope="module")
def server(ground: Path) -> Generator[Nginx]:
    """1 GiB."""
    with serving(BODY, ground / "nginx", more=HUB % ground) as server:
        yield server


@pytest.fixture(scope="module")
def url(server: Nginx) -> str:
    return server.url("/model.bin")


@dataclass(frozen=True)
class Into:
    """Runs contestants, each into a directory that is made before and removed after."""

    directory: Path

    def __call__(self, run: Callable[[Path], Cost]) -> Callable[[], Cost]:
        """Return `run` with its directory."""

        def contestant() -> Cost:
            with tempfile.TemporaryDirectory(dir=self.directory) as made:
                return run(Path(made))

        return contestant


def curl(url: str, *options: str) -> Callable[[Path], Cost]:
    return lambda into: command(["curl", "-s", "-f", *options, "-o", into / "model.bin", url])


def ours(url: str, sha256: str, **environment: str) -> Callable[[Path], Cost]:
    return lambda into: transfer("ours", url=url, path=str(into / "model.bin"), sha256=sha256, environment=environment)


@pytest.fixture(scope="module")
def hashed(server: Nginx) -> Callable[[], Cost]:
    """Hashing the file alone, which is there with the server."""
    return partial(transfer, "hashing", path=str(server.root / "model.bin"), size=BODY.size)


def _aria2(url: str, sha256: str, into: Path) -> Cost:
    options = [f"--checksum=sha-256={sha256}", "--file-allocation=none", "--no-conf", "-q"]
    return command(["aria2c", *options, "-d", into, "-o", "model.bin", url])


@pytest.fixture(scope="module")
def costs(ground: Path, server: Nginx, url: str, sha256: str, hashed: Callable[[], Cost]) -> Costs:
    """1 GiB, by all."""
    into = Into(ground)
    return by_turns(
        {
            "hash": hashed,
            "curl": into(curl(url)),
            "ours": into(ours(url, sha256)),
            "fetch": into(lambda made: transfer("fetching", url=url, store=str(made), sha256=sha256)),
            "requests": into(lambda made: transfer("requests", url=url, path=str(made / "m"), sha256=sha256)),
            "aria2": into(partial(_aria2, url, sha256)),
            "huggingface_hub": into(
                lambda made: transfer(
                    "hub",
                    endpoint=server.url(""),
                    directory=str(made),
                    environment={"HF_HOME": str(made / "home"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
                )
            ),
        }
    )


def test_1_gib(benchmark: BenchmarkFixture, costs: Costs, ground: Path, url: str, sha256: str) -> None:
    """Verified, it takes at most 1.25 times the slower of curl and hashing."""
    hashing = min(cost.seconds for cost in costs["hash"])
    for name, taken in costs.items():
        least, middle = seconds(costs, name)
        print(  # noqa: T201 - what a benchmark is for
            f"\n{name}: {least:.3f} s, {least / hashing:.2f} times hashing (median {middle:.3f} s), "
            f"CPU {min(cost.cpu for cost in taken):.3f} s, peak {max(cost.peak for cost in taken) / MIB:.1f} MiB",
            end="",
        )
    compared = ratio(seconds(costs, "ours"), seconds(costs, "curl"), seconds(costs, "hash"))
    check(benchmark, compared, Into(ground)(ours(url, sha256)), at_most=1.25)


def test_1_gib_into_a_store(benchmark: BenchmarkFixture, costs: Costs, hashed: Callable[[], Cost]) -> None:
    """The same with `fetch`, which also keeps it in a store."""
    compared = ratio(seconds(costs, "fetch"), seconds(costs, "curl"), seconds(costs, "hash"))
    check(benchmark, compared, hashed, at_most=1.5)


def test_cpu_of_1_gib(benchmark: BenchmarkFixture, costs: Costs, hashed: Callable[[], Cost]) -> None:
    """It takes at most 1.8 times the processors' time of hashing alone."""
    check(benchmark, ratio(cpu(costs, "ours"), cpu(costs, "hash")), hashed, at_most=1.8)


def test_peak_of_1_gib(costs: Costs) -> None:
    """Python, what is imported, and all that is received and not yet written take at most 64 MiB."""
    assert max(cost.peak for cost in costs["ours"]) <= 64 * MIB


def test_1_gib_over_tls(benchmark: BenchmarkFixture, ground: Path, sha256: str) -> None:
    """Verified, it takes at most 0.95 times what `requests` takes."""
    server_context(ground)
    certificate = ground / "server.pem"
    into = Into(ground)
    with serving(BODY, ground / "tls", certificate=certificate) as server:
        url = server.url("/model.bin")
        mine = into(ours(url, sha256, SSL_CERT_FILE=str(certificate)))
        costs = by_turns(
            {
                "ours": mine,
                "requests": into(
                    lambda made: transfer(
                        "requests", url=url, path=str(made / "m"), sha256=sha256, certificate=str(certificate)
                    )
                ),
            }
        )
        check(benchmark, ratio(seconds(costs, "ours"), seconds(costs, "requests")), mine, at_most=0.95)
    shutil.rmtree(ground / "tls")


def test_1_gib_to_a_disk(benchmark: BenchmarkFixture, tmp_path: Path, url: str, sha256: str) -> None:
    """Verified, and durable, it takes no longer than curl and sync."""
    into = Into(tmp_path)

    def floor(made: Path) -> Cost:
        return curl(url)(made) + command(["sync", made / "model.bin"])

    costs = by_turns({"ours": into(ours(url, sha256)), "curl and sync": into(floor)})
    compared = ratio(seconds(costs, "ours"), seconds(costs, "curl and sync"))
    check(benchmark, compared, into(ours(url, sha256)), at_most=1.0)


def _many(name: str, urls: list[str], into: Path) -> Cost:
    return transfer(name, urls=urls, directory=str(into))


def test_many_files_from_far_away(benchmark: BenchmarkFixture, ground: Path) -> None:
    """With 50 ms a request, they take at most 1.15 times as long as these waits, eight at a time."""
    program = [sys.executable, "-m", "tests.benchmarks.serve", str(COUNT), str(SIZE), str(LATENCY)]
    with subprocess.Popen(program, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        base = server.stdout.readline().strip()
        mine = Into(ground)(partial(_many, "ours_many", [f"{base}/{number}" for number in range(COUNT)]))
        costs = by_turns({"ours": mine})
        floor = COUNT * LATENCY / CONCURRENCY
        check(benchmark, ratio(seconds(costs, "ours"), (floor, floor)), mine, at_most=1.15)
        server.communicate()


def test_resume(benchmark: BenchmarkFixture, ground: Path, url: str, sha256: str) -> None:
    """Going on at 90 % takes at most 1.3 times what hashing those and fetching the rest take."""
    kept = BODY.size // 10 * 9
    (ground / "unfinished").mkdir()
    with FaultyServer() as server:
        other = server.add("/model.bin", body=BODY, always=Truncate(at=kept))
        with pytest.raises(subprocess.CalledProcessError):
            ours(other, sha256, DOWNLOAD_SERVICE_MAX_ATTEMPTS="1")(ground / "unfinished")

    def resume(made: Path) -> Cost:
        shutil.copytree(ground / "unfinished", made, dirs_exist_ok=True)
        path = str(made / "model.bin")
        return transfer("ours", url=url, path=path, sha256=sha256, reused=kept)

    def floor(made: Path) -> Cost:
        hashing = transfer("hashing", path=str(ground / "nginx/root/model.bin"), size=kept)
        return hashing + curl(url, "-r", f"{kept}-")(made)

    costs = by_turns({"ours": Into(ground)(resume), "floor": Into(ground)(floor)})
    compared: Ratio = ratio(seconds(costs, "ours"), seconds(costs, "floor"))
    check(benchmark, compared, Into(ground)(resume), at_most=1.3)
