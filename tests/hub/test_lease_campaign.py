"""Sixteen processes want one lease and are killed: never do two have it, and a dead one is always succeeded."""

import json
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests import buckets
from tests.effort import THOROUGH, effort

KILLS = effort(3, 40)


@pytest.mark.parametrize(
    ("service", "seconds"), [(None, 0.4), *([("moto", 2.0), ("seaweedfs", 1.0)] if THOROUGH else [])]
)
def test_never_two_have_it_and_a_dead_one_is_succeeded(
    service: str | None,
    seconds: float,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = (tmp_path / "nfs").as_uri()
    if service is not None:
        name, endpoint = f"bucket-{uuid4().hex}", request.getfixturevalue(service)
        buckets.use(endpoint, monkeypatch)
        buckets.make_bucket(endpoint, name)
        address = f"s3://{name}"
    command = [sys.executable, "-m", "tests.hub.lease_campaign", address, str(tmp_path / "holder")]
    done = subprocess.run(
        [*command, str(KILLS), str(seconds)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=effort(120, 1800),
        check=False,
    )
    assert done.stdout, done.stderr
    did = json.loads(done.stdout)
    assert (did["two"], did["nobody"], did["error"]) == (0, 0, 0), done.stderr
    assert did["had"] > KILLS
    assert did["killed"] >= KILLS
    print(done.stdout)  # noqa: T201 - what was done, for who runs it thoroughly
    assert done.returncode == 0
