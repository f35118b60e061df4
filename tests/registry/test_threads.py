"""A registry in threads, in coroutines, in callbacks, and when it is closed, interrupted or forked."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from kamiwaza_sdk import AsyncRegistry, Registry, RegistryUnavailableException, StorageService, fetch
from kamiwaza_sdk.types import DownloadProgress
from tests.serving import Server

PATIENCE: Final = 30.0


@pytest.fixture(params=["sqlite", "memory", "postgresql"])
def registry(request: pytest.FixtureRequest, tmp_path: Path, storage: StorageService) -> Iterator[Registry]:
    """A registry that nobody has set up yet, but on PostgreSQL."""
    urls = {"sqlite": f"sqlite:///{tmp_path}/registry.db", "memory": "sqlite://"}
    url = urls.get(request.param) or request.getfixturevalue("cleared_postgresql")
    with Registry(url, storage=storage) as registry:
        yield registry


def test_eight_threads_may_begin_at_once(registry: Registry, tmp_path: Path) -> None:
    start = threading.Barrier(8)

    def work(number: int) -> int:
        (tmp_path / f"{number}.bin").write_bytes(b"weights" * number)
        start.wait(PATIENCE)
        registry.register(tmp_path / f"{number}.bin", name=f"tiny-{number}", alias="production")
        return registry.get(f"tiny-{number}@production").number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(1, 9))) == [1] * 8
    assert len(registry.list()) == 8
    assert [thread.name for thread in threading.enumerate() if thread.name == "kamiwaza-transfer"] == []


def test_a_progress_callback_may_call_the_registry(registry: Registry, server: Server) -> None:
    url, other = (server.add(f"/m/{name}.bin", body=b"weights") for name in ("a", "b"))
    seen = list[int]()

    def report(progress: DownloadProgress) -> None:
        if progress.finished:
            registry.pull(other, name="from-the-callback")
            seen.append(len(registry.list()))

    registry.pull(url, name="tiny", progress=report)
    assert (seen, len(registry.list())) == ([1], 2)


async def test_in_a_coroutine_it_works_and_blocks(registry: Registry, server: Server) -> None:
    url = server.add("/m/a.bin", body=b"weights")
    assert registry.pull(url, name="tiny").number == 1
    assert (await fetch(url)).digest == registry.fetch(url).digest


def test_close_cancels_the_transfers_of_other_threads(registry: Registry, server: Server) -> None:
    url = server.add("/m/a.bin", body=bytes(10), stall_after=5)
    with ThreadPoolExecutor(1) as pool:
        pulling = pool.submit(registry.pull, url, name="tiny")
        assert server.stalled.wait(PATIENCE)
        registry.close()
        with pytest.raises(RegistryUnavailableException, match=r"pull\(\): cancelled, as the registry is closed"):
            pulling.result(PATIENCE)


async def test_close_cancels_the_transfers_of_other_tasks(
    tmp_path: Path, storage: StorageService, server: Server
) -> None:
    registry = AsyncRegistry(f"sqlite:///{tmp_path}/registry.db", storage=storage)
    url = server.add("/m/a.bin", body=bytes(10), stall_after=5)
    pulling = asyncio.ensure_future(registry.pull(url, name="tiny"))
    assert await asyncio.to_thread(server.stalled.wait, PATIENCE)
    await registry.close()
    with pytest.raises(RegistryUnavailableException, match=r"pull\(\): cancelled"):
        await pulling


async def test_a_task_that_is_cancelled_stays_cancelled(
    tmp_path: Path, storage: StorageService, server: Server
) -> None:
    async with AsyncRegistry(f"sqlite:///{tmp_path}/registry.db", storage=storage) as registry:
        url = server.add("/m/a.bin", body=bytes(10), stall_after=5)
        pulling = asyncio.ensure_future(registry.pull(url, name="tiny"))
        assert await asyncio.to_thread(server.stalled.wait, PATIENCE)
        pulling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pulling
        assert await registry.list() == []


def test_a_callback_may_close_the_registry(registry: Registry, server: Server) -> None:
    url = server.add("/m/a.bin", body=b"weights")
    with pytest.raises(RegistryUnavailableException, match="closed"):
        registry.pull(url, name="tiny", progress=lambda _: registry.close())


def _child(registry: Registry, place: Path, answers: "multiprocessing.Queue[object]") -> None:
    version = registry.register(place, name=f"from-{os.getpid()}")
    answers.put((version.number, version.model_name, len(registry.list()) > 0))


@pytest.mark.parametrize("registry", ["sqlite", "postgresql"], indirect=True)
def test_forked_workers_connect_anew(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "tiny.bin").write_bytes(b"weights")
    registry.register(tmp_path / "tiny.bin", name="tiny")
    with registry.transaction() as models:  # the connection is in use while the workers begin
        before = models.list_models()
        forking = multiprocessing.get_context("fork")
        answers: multiprocessing.Queue[object] = forking.Queue()
        workers = [forking.Process(target=_child, args=(registry, tmp_path / "tiny.bin", answers)) for _ in range(3)]
        for worker in workers:
            worker.start()
    got = [answers.get(timeout=PATIENCE) for _ in workers]
    for worker in workers:
        worker.join(PATIENCE)
        assert worker.exitcode == 0
    assert sorted(got) == sorted((1, f"from-{worker.pid}", True) for worker in workers)  # type: ignore[type-var]  # tuples
    assert (len(before), len(registry.list())) == (1, 4)


def _run(code: str, *, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout, check=False, env=dict(os.environ)
    )


def test_at_exit_a_transfer_is_refused_and_the_database_still_answers(tmp_path: Path) -> None:
    (tmp_path / "tiny.bin").write_bytes(b"weights")
    code = f"""
import atexit
from kamiwaza_sdk import Registry, RegistryUnavailableException
registry = Registry("sqlite:///{tmp_path}/registry.db")
def last():
    print(registry.list())
    try:
        registry.register("{tmp_path}/tiny.bin")
    except RegistryUnavailableException as error:
        print(error)
atexit.register(last)
"""
    done = _run(code)
    assert done.stdout.startswith("[]\nregister(): the interpreter is shutting down"), done.stderr


def test_under_gevent_a_transfer_is_refused_but_not_in_its_thread_pool(tmp_path: Path) -> None:
    pytest.importorskip("gevent")
    (tmp_path / "tiny.bin").write_bytes(b"weights")
    code = f"""
from gevent import monkey
monkey.patch_all()
from kamiwaza_sdk import Registry, RegistryUnavailableException
registry = Registry("sqlite:///{tmp_path}/registry.db")
print(registry.list())
try:
    registry.register("{tmp_path}/tiny.bin")
except RegistryUnavailableException as error:
    print(error)
"""
    done = _run(code)
    assert done.stdout.startswith("[]\nregister(): gevent has patched"), done.stderr


def test_under_uvloop_both_colours_work(tmp_path: Path) -> None:
    pytest.importorskip("uvloop")
    (tmp_path / "tiny.bin").write_bytes(b"weights")
    code = f"""
import asyncio, uvloop
from kamiwaza_sdk import AsyncRegistry, Registry
url = "sqlite:///{tmp_path}/registry.db"
async def main():
    print(type(asyncio.get_running_loop()).__module__)
    async with AsyncRegistry(url) as registry:
        print((await registry.register("{tmp_path}/tiny.bin", name="tiny")).number)
        print(Registry(url).register("{tmp_path}/tiny.bin", name="other").number)
uvloop.run(main())
"""
    done = _run(code)
    assert done.stdout == "uvloop\n1\n1\n", done.stderr


_INTERRUPTED: Final = """
import sys, threading
from kamiwaza_sdk import Registry
registry = Registry("sqlite://")
try:
    registry.pull(sys.argv[1], name="tiny", progress={progress})
except KeyboardInterrupt:
    print("interrupted", [t.name for t in threading.enumerate() if t.name == "kamiwaza-transfer"], registry.list())
"""


def _interrupted(server: Server, *, progress: str = "False") -> "subprocess.Popen[str]":
    url = server.add("/m/a.bin", body=bytes(10), stall_after=5)
    command = [sys.executable, "-u", "-c", _INTERRUPTED.format(progress=progress), url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_an_interrupt_cancels_the_transfer_waits_for_it_and_is_raised(server: Server) -> None:
    script = _interrupted(server)
    try:
        assert server.stalled.wait(PATIENCE)
        script.send_signal(signal.SIGINT)
        out, error = script.communicate(timeout=PATIENCE)
    finally:
        script.kill()
    assert out == "interrupted [] []\n", error


def test_a_second_interrupt_leaves_at_once(server: Server) -> None:
    script = _interrupted(server, progress="lambda _: (print('held', flush=True), threading.Event().wait(60))")
    try:
        assert script.stdout is not None
        assert script.stdout.readline() == "held\n"  # by a callback, which nothing can cancel
        script.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            script.wait(0.5)
        script.send_signal(signal.SIGINT)
        assert script.stdout.readline() == "interrupted ['kamiwaza-transfer'] []\n"
    finally:
        script.kill()
        script.communicate()
