"""Eight processes at work over one store and two databases, killed at random: nothing is lost, and all else goes."""

import json
import subprocess
import sys
from pathlib import Path

from sqlalchemy import Engine

import kamiwaza_sdk
from kamiwaza_sdk import setup_database
from tests.effort import effort

KILLS = effort(12, 400)


def test_nothing_that_a_registry_has_is_lost_and_all_else_goes(
    other: Engine, cleared_postgresql: str, tmp_path: Path
) -> None:
    urls = [other.url.render_as_string(hide_password=False), cleared_postgresql]
    for url in urls:
        engine = kamiwaza_sdk.create_engine(url)
        setup_database(engine)
        engine.dispose()
    command = [sys.executable, "-m", "tests.cleanup.campaign", str(tmp_path), str(KILLS), *urls]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=effort(180, 3600), check=False)
    assert done.stdout, done.stderr
    said = json.loads(done.stdout)
    assert (said["lost"], said["broken"], said["left"]) == ([], [], [])
    assert said["killed"] >= KILLS
    assert all(said["did"][work] for work in ("register", "lay_out", "delete", "clean_up"))
    print(done.stdout)  # noqa: T201 - what was done, for who runs it thoroughly
    assert done.returncode == 0
