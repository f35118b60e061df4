"""The documentation says everything, once, and says it right. Its code blocks run in the session ``docs`` of nox."""

import ast
import importlib.util
import re
import tomllib
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final
from xml.etree import ElementTree

import pytest
from pydantic_settings import BaseSettings

from kamiwaza_sdk import DownloadConfig, HubConfig, ModelService, ServiceConfig, ServiceException, StorageConfig

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
DIRECTIVE: Final = re.compile(r"^\.\. (?:auto\w+:: kamiwaza_sdk\.(?:[a-z]+\.)?|py:type:: )(\w+)$", re.MULTILINE)
#: The modules that offer public names.
HOMES: Final = ("kamiwaza_sdk", *(f"kamiwaza_sdk.{name}" for name in ("formats", "orm", "sources", "testing", "types")))
UNITS: Final = {"": 1, " MiB": 1024**2, " GiB": 1024**3}


#: The language of a block, and what is in it.
CODE: Final = re.compile(r"^```(?:\{code-block\} )?(\w+)\n(?::caption:[^\n]*\n)?(.*?)^```", re.MULTILINE | re.DOTALL)


def reference(page: str = "*") -> str:
    return "\n".join(path.read_text() for path in sorted(ROOT.glob(f"docs/reference/{page}.md")))


def test_the_reference_has_every_public_name_exactly_once() -> None:
    pages = reference("[!t]*")  # not that of testing, which has names of its own
    public = {name for home in HOMES if home != "kamiwaza_sdk.testing" for name in import_module(home).__all__}
    assert sorted(DIRECTIVE.findall(pages)) == sorted(public)


def test_a_type_is_named_without_its_module_which_sphinx_puts_before_it() -> None:
    assert re.findall(r"^\.\. py:type:: \S*\..*$", reference(), re.MULTILINE) == []


def test_the_reference_has_every_method_of_the_registry_exactly_once() -> None:
    methods = [name for name in dir(ModelService) if not name.startswith("_") and callable(getattr(ModelService, name))]
    assert (
        sorted(re.findall(r"^\.\. automethod:: kamiwaza_sdk\.ModelService\.(\w+)$", reference(), re.MULTILINE))
        == methods
    )


def test_the_errors_are_on_the_page_of_errors_each_with_its_way_out() -> None:
    errors = {
        name
        for home in HOMES
        for name in import_module(home).__all__
        if isinstance(value := getattr(import_module(home), name), type) and issubclass(value, ServiceException)
    }
    page = reference("errors")
    assert set(re.findall(r"kamiwaza_sdk\.(?:[a-z]+\.)?(\w+Exception)\n\n   \*Way out\.\* \S", page)) == errors


@pytest.mark.parametrize("config", [ServiceConfig, DownloadConfig, HubConfig, StorageConfig])
def test_the_page_of_settings_has_every_variable_with_its_default(config: type[BaseSettings]) -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| .*\. Default: (.*) \|$", page, re.MULTILINE))
    prefix = config.model_config.get("env_prefix", "")
    expected = {f"{prefix}{name.upper()}": field for name, field in config.model_fields.items()}
    assert [name for name in rows if name.startswith(prefix)] == list(expected)
    for name, field in expected.items():
        if name.startswith("HUB_SERVICE_"):  # they fall back on what huggingface_hub goes by, in words
            assert rows[name]
        elif not field.default:  # nothing, in words
            assert rows[name] in {"none", "all", "false"}
        elif field.default is True:
            assert rows[name] == "true"
        elif field.default_factory is None:
            number, unit = re.fullmatch(r"(\d+)(| MiB| GiB)", rows[name]).groups()  # type: ignore[union-attr]  # no match fails the test as well
            assert int(number) * UNITS[unit] == field.default


def functions(path: Path) -> set[str]:
    """Return the names of a file's functions."""
    nodes = ast.parse(path.read_text()).body if path.exists() else []
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_each_line_of_the_comparison_names_what_shows_it() -> None:
    page = (ROOT / "docs/comparison.md").read_text()
    lines = re.findall(r"^\| (\d+) \|", page, re.MULTILINE)
    shown = dict(re.findall(r"^(\d+)\. (`\w+`(?:, `\w+`)*)\n    - `tests/", page, re.MULTILINE))
    assert lines == list(shown) == [str(number + 1) for number in range(len(lines))]
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert [f"{path}::{name}" for path, name in tests if name not in functions(ROOT / path)] == []
    claims = {claim for named in shown.values() for claim in re.findall(r"\w+", named)}
    assert claims == functions(ROOT / "docs/comparison_mlflow.py") - {"main", "refused"}


def test_the_table_of_tasks_counts_the_lines_that_they_take() -> None:
    """A release is held to these numbers: what takes more lines than before has to say so here."""
    page = (ROOT / "docs/tasks.md").read_text()
    rows = re.findall(r"^\| \d+ \| \[.*?\]\(#(.*?)\) \| (\d+) \| (\d+|-) \|", page, re.MULTILINE)
    counted = {}
    for section in page.split("\n## ")[1:]:
        shown = re.sub(r"^<!--.*?^-->", "", section, flags=re.MULTILINE | re.DOTALL)
        blocks = CODE.findall(shown)
        python = [line for kind, block in blocks if kind == "python" for line in block.splitlines() if line]
        typed = [line for kind, block in blocks if kind == "console" for line in block.splitlines() if line[:2] == "$ "]
        anchor = re.sub(r"[^\w -]", "", shown.partition("\n")[0].lower()).replace(" ", "-")
        counted[anchor] = (str(len(python)), str(len(typed) or "-"))
    assert {anchor: (python, typed) for anchor, python, typed in rows} == counted
    assert len(rows) == 10


def test_extras_that_the_documentation_names_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {extra for page in PAGES for extra in re.findall(r'-e "\.\[(\w+)\]"', page.read_text())}
    assert named <= extras.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\((?!https?://)([^)#]+)", prose)
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_has_the_commands_that_a_new_user_copies() -> None:
    readme = (ROOT / "README.md").read_text()
    install = "python3 -m venv .venv && .venv/bin/pip install -q -e"
    assert f'{install} ".[examples]" && .venv/bin/python examples/quickstart.py\n' in readme
    assert f'{install} ".[dev]" && .venv/bin/nox -s tests\n' in readme


@pytest.fixture(scope="module")
def diagrams() -> ModuleType:
    """What draws the documentation's pictures, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("diagrams", ROOT / "docs/diagrams.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SVG: Final = "{http://www.w3.org/2000/svg}"


def numbers(element: ElementTree.Element, *names: str) -> list[float]:
    return [float(element.attrib[name]) for name in names]


def test_a_sequence_diagram_has_a_column_for_each_participant_and_an_arrow_for_each_message(
    diagrams: ModuleType,
) -> None:
    picture = ElementTree.fromstring(
        diagrams.draw_sequence("a -> b: ask <now>\nb -> b: think\nb --> a: answer", title="Who & what")
    )
    assert picture.findtext(f"{SVG}title") == "Who & what"
    positions = {text.text: float(text.attrib["x"]) for text in picture.iter(f"{SVG}text")}
    assert list(positions) == ["a", "b", "ask <now>", "think", "answer"]
    assert positions["a"] < positions["ask <now>"] == positions["answer"] < positions["b"] < positions["think"]
    kinds = [path.get("class") for path in picture.iter(f"{SVG}path")]
    assert kinds == [None, "faint", "faint", "call", "call", "answer"]


def test_boxes_of_a_house_do_not_overlap_and_arrows_lead_from_one_to_another(diagrams: ModuleType) -> None:
    picture = ElementTree.fromstring(
        diagrams.draw_house("(a) | b | b\n. | c | d\na: of others\nb -> c\na -> d", title="A house")
    )
    a, b, c, d = (numbers(box, "x", "y", "width", "height") for box in picture.iter(f"{SVG}rect"))
    assert a[0] + a[2] < b[0] == c[0] < c[0] + c[2] < d[0]
    assert a[1] == b[1] < a[1] + a[3] < c[1] == d[1]
    assert b[2] > c[2] == d[2]
    assert [box.get("class") for box in picture.iter(f"{SVG}rect")] == ["outside", "box", "box", "box"]
    assert [path.get("class") for path in picture.iter(f"{SVG}path")] == [None, "call", "call"]


@pytest.mark.parametrize(
    ("draw", "text", "message"),
    [
        ("draw_sequence", "a -> b: ask\na ask b", "no message: 'a ask b'; write 'A -> B: text'"),
        ("draw_house", "a | b\na -> c", "in no row: 'c'"),
        ("draw_house", "a\nb\nb -> a", "'b' is not above 'a'"),
    ],
)
def test_a_picture_that_cannot_be_drawn_names_the_line(
    diagrams: ModuleType, draw: str, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(diagrams, draw)(text, title="Wrong")


def test_a_decision_is_one_page_of_context_decision_and_consequences() -> None:
    records = sorted(ROOT.glob("docs/decisions/0*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        text = record.read_text()
        assert len(text.splitlines()) <= 40, record.name
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
