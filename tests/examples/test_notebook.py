"""The notebook, run by a real kernel, as Jupyter runs it."""

import json
from pathlib import Path
from typing import Any, Final

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
NOTEBOOK: Final = EXAMPLES / "quickstart.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:  # Any: a notebook has no types
    """The notebook after a kernel with directories of its own has run it. A cell that raises fails the tests."""
    home = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]  # it has none
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": EXAMPLES}})
    with pytest.MonkeyPatch.context() as environment:
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "TMPDIR", "XDG_DATA_HOME"):
            (home / name).mkdir()
            environment.setenv(name, str(home / name))
        client.execute()
    return notebook


def results(notebook: Any) -> list[str]:  # Any: as above
    """Return what each cell came to, as text."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [output.data.get("text/markdown") or output.data["text/plain"] for output in outputs if "data" in output]


def test_every_cell_runs(executed: Any) -> None:  # Any: as above
    """From fetching to using the model, every cell does what the text above it says."""
    *bars, travelled, version, table, files, label = results(executed)

    assert len(bars) == 1
    assert travelled == "'3.0 MiB of 3.0 MiB travelled.'"
    assert version == "'magika, version 1'"
    assert "| magika | 1 | model.onnx | 3.0 MiB | `fe2d2eb49c5f88a9…` |" in table
    assert files == "['README.md', 'config.min.json', 'model.onnx']"
    assert label == "python"


def test_bars_are_drawn_as_widgets(executed: Any) -> None:  # Any: as above
    """The progress bar is that of a notebook: as long as all files together, and full at the end."""
    widgets = executed.metadata.widgets["application/vnd.jupyter.widget-state+json"].state.values()
    bars = [widget.state for widget in widgets if widget.model_name == "FloatProgressModel"]

    assert [(bar.value, bar.bar_style) for bar in bars] == [(bar.max, "success") for bar in bars]
    assert [bar.max for bar in bars] == [3182326]


def test_is_kept_without_outputs() -> None:
    """What is committed is what was written, not what one machine once made of it."""
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]

    assert [(cell["outputs"], cell["execution_count"]) for cell in cells] == [([], None) for _ in cells]
