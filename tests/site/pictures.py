"""Takes pictures of what people see: a notebook in light and dark, pages on a phone and a desktop, the terminal.

They are to be looked at: ``nox -s pictures`` writes them to ``docs/_build/pictures``.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, ViewportSize

from tests.site.browsing import WIDTHS, browser, served

SITE: Final = Path("docs/_build/html")
PICTURES: Final = Path("docs/_build/pictures")
PAGES: Final = ("index", "tutorial", "howto/notebook", "howto/plan", "reference/model-service")

#: A cell each; what its last line is shows itself.
CELLS: Final = (
    """\
import json
import numpy
from pathlib import Path
from safetensors.numpy import save_file
from kamiwaza_sdk import Registry, inspect_file, plot_lineage

directory = Path("tiny")
directory.mkdir()
save_file({f"layers.{n}.weight": numpy.zeros((64 + n, 64), numpy.float32) for n in range(24)},
          directory / "model.safetensors")
(directory / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}))
(directory / "README.md").write_text("---\\nlicense: apache-2.0\\n---\\n# Tiny\\n\\nA model of a notebook.\\n")
registry = Registry("sqlite:///registry.db")
registry.plan(directory)""",
    "registry.fetch(directory)",
    "first = registry.register(directory, name='org/tiny', alias='production')\nfirst",
    """\
(directory / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama2"}))
second = registry.register(directory, name="org/tiny")
registry.diff(first, second)""",
    "registry.list()[0]",
    "registry.find()",
    "registry.events('org/tiny')",
    "inspect_file(directory / 'model.safetensors')",
    "plot_lineage([first, second])",
    "f'{second}'",
)

#: What the first page shows: its pictures are kept, as ``docs/notebook.png`` and ``docs/notebook-dark.png``.
FIRST_CELLS: Final = (
    """\
from pathlib import Path
from kamiwaza_sdk import Registry

Path("run-7").mkdir()
Path("run-7/config.json").write_text('{"model_type": "bert"}')
registry = Registry()
registry.register("run-7", name="classifier", alias="production")""",
    """\
Path("run-7/config.json").write_text('{"model_type": "llama"}')
registry.register("run-7", name="classifier")
registry.diff("classifier@production", "classifier")""",
)

#: So narrow that it can be read on a phone.
WIDTH_OF_FIRST: Final = 640

#: What is typed in a terminal, after one another.
COMMANDS: Final = (
    "kamiwaza setup",
    "kamiwaza register tiny --name org/tiny --alias production",
    "kamiwaza list",
    "kamiwaza show org/tiny@production",
    "kamiwaza events org/tiny",
    "kamiwaza rm org/tiny:1",
    "kamiwaza doctor",
)


def main() -> None:
    """Take all of them."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as work, browser() as started:
        os.environ["STORAGE_SERVICE_ROOT"] = f"{work}/store"
        os.environ["MODEL_SERVICE_DATABASE_URL"] = f"sqlite:///{work}/terminal.db"
        _take_notebook(started, Path(work), CELLS, "notebook")
        _take_notebook(started, Path(work), FIRST_CELLS, "first")
        for theme, kept in (("light", "notebook"), ("dark", "notebook-dark")):
            with Image.open(PICTURES / f"first-{theme}.png") as picture:
                picture.quantize(64).save(f"docs/{kept}.png", optimize=True)
        _take_terminal(started, Path(work))
        with served(SITE) as url:
            for page in PAGES:
                for width in WIDTHS:
                    _take(started, f"{url}/{page}.html", f"{page.replace('/', '-')}-{width}", width=width)


def _take_notebook(started: Browser, work: Path, sources: Sequence[str], name: str) -> None:
    code: dict[str, object] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    cells = [{**code, "id": f"cell-{number}", "source": cell} for number, cell in enumerate(sources)]
    notebook = work / "notebook.ipynb"
    notebook.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    _convert(notebook, "--to", "notebook", "--execute", "--inplace")
    for theme in ("light", "dark"):
        _convert(notebook, "--to", "html", "--template", "lab", "--theme", theme, "--output", theme)
        _take(
            started,
            (work / f"{theme}.html").as_uri(),
            f"{name}-{theme}",
            width=WIDTH_OF_FIRST if name == "first" else 900,
        )


def _convert(notebook: Path, *options: str) -> None:
    subprocess.run([sys.executable, "-m", "nbconvert", *options, str(notebook)], check=True, cwd=notebook.parent)


def _take_terminal(started: Browser, work: Path) -> None:
    shown = ""
    for command in COMMANDS:
        run = [sys.executable, "-m", "kamiwaza_sdk", *command.split()[1:]]
        done = subprocess.run(run, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        shown += f"$ {command}\n{done.stdout}\n"
    page = work / "terminal.html"
    escaped = shown.replace("&", "&amp;").replace("<", "&lt;")
    page.write_text(f"<meta charset=utf-8><body style='background: #111; color: #ddd'><pre>{escaped}</pre>")
    _take(started, page.as_uri(), "terminal", width=1000)


def _take(started: Browser, url: str, name: str, *, width: int) -> None:
    is_first = name.startswith("first")  # it is kept, and sharp on any screen
    viewport: ViewportSize = {"width": width, "height": 400 if is_first else 900}
    page = started.new_page(viewport=viewport, device_scale_factor=2 if is_first else 1)
    page.goto(url)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=name.startswith(("notebook", "first", "terminal")))
    page.close()


if __name__ == "__main__":
    main()
