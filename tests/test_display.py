"""Objects show themselves: in one line wherever text is made of them, as tables in a notebook."""

import asyncio
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy
import pytest
from pydantic import BaseModel
from safetensors.numpy import save_file
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    CreateModel,
    Fetched,
    FetchedFile,
    HubService,
    ModelService,
    ModelVersionSchema,
    Page,
    PlanSchema,
    StorageConfig,
    StorageService,
    inspect_directory,
    inspect_file,
    plot_lineage,
)
from kamiwaza_sdk.formats import IncompleteVariantSchema, ONNXValueSchema
from tests.schemas import large, public_schemas

pytest_plugins = ["pytester"]

_LONGEST_LINE = 300
HOSTILE = "<script>alert(1)</script>\x1b[2J\n\u202e"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    tensors = {f"layer.{number}": numpy.zeros((number + 1, 8), dtype=numpy.float32) for number in range(30)}
    save_file(tensors, directory / "model.safetensors")
    (directory / "README.md").write_text(f"---\nlicense: mit\n---\n# Tiny\n\n{'A tiny model. ' * 1000}\n")
    (directory / "harm.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    return directory


@pytest.fixture
def shown(model: Path, tmp_path: Path, mock_db: Session) -> list[BaseModel]:
    """One object of each kind that a notebook shows."""
    storage = StorageService(StorageConfig(root=tmp_path / "store"))
    hub = HubService(storage=storage)
    plan = asyncio.run(hub.plan(model))
    fetched = asyncio.run(hub.fetch(model))
    models = ModelService(mock_db)
    version = models.register(fetched, name="org/tiny", force=True)
    created = models.get_model(version.model_id)
    models.set_model_tag(created.id, "note", HOSTILE.replace("\n", ""))
    models.set_alias(version.id, "production")
    page, events = models.search_models(), models.list_events(version.model_id, descending=True)
    results: list[BaseModel] = [plan, plan.manifest, fetched, fetched.files[0], version, version.files[0], page, events]
    inspected = [inspect_file(path) for path in sorted(model.iterdir()) if path.suffix != ".md"]
    blob = storage.find(fetched.files[0].sha256)
    assert blob is not None
    return [*results, models.get_model(created.id), events.items[0], blob, *inspected, inspect_directory(model)]


def test_each_kind_shows_itself_in_one_line(shown: list[BaseModel]) -> None:
    for one in shown:
        assert repr(one).startswith(f"{type(one).__name__}("), one
        assert len(repr(one)) <= _LONGEST_LINE
        assert repr(one).isprintable()
        if not isinstance(one, PlanSchema):  # which is a table
            assert str(one) == f"{one}" == repr(one)


@pytest.mark.parametrize("kind", public_schemas(), ids=lambda kind: kind.__name__)
def test_every_schema_shows_itself_in_one_short_line(kind: type[BaseModel]) -> None:
    one = large(kind)
    assert repr(one).startswith(f"{kind.__name__}(")
    assert len(repr(one)) <= _LONGEST_LINE
    assert repr(one).isprintable()


def test_the_line_of_a_value_has_its_shape_in_its_order() -> None:
    image = ONNXValueSchema(name="pixels", dtype="FLOAT", shape=("batch", 3, 224, 224))
    assert repr(image) == "ONNXValueSchema('pixels', dtype='FLOAT', shape='batch x 3 x 224 x 224')"


def test_a_few_short_values_are_shown_in_their_order() -> None:
    layout = IncompleteVariantSchema(name="m", files=("b", "a"), missing=("3", "20"))
    assert repr(layout) == "IncompleteVariantSchema(name='m', files='b, a', missing='3, 20')"


def test_the_line_of_a_version_names_what_tells_it_apart(shown: list[BaseModel]) -> None:
    (line,) = {repr(one) for one in shown if type(one).__name__ == "ModelVersionSchema"}
    version = next(one for one in shown if type(one).__name__ == "ModelVersionSchema")
    digest = version.model_dump()["digest"][:12]
    assert line.startswith("ModelVersionSchema('org/tiny:1', status='ready', files=3, size='")
    assert f"digest='{digest}'" in line


def test_many_files_make_no_longer_line() -> None:
    files = tuple(FetchedFile(path=f"{number:05}.bin", size=1, sha256="ab" * 32) for number in range(10_000))
    fetched = Fetched(source="hf://org/many", name="many", files=files, bytes_fetched=1, bytes_reused=0)
    assert repr(fetched) == "Fetched('hf://org/many', files=10000, size='9.8 KiB', fetched='1 B')"
    assert fetched._repr_html_().count("<tr") < 40
    assert "and 9,980 more" in fetched._repr_html_()


class _Checked(HTMLParser):
    """Refuses tags that are not closed, and remembers those that were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.titles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.seen.add(tag)
        self.titles += [value or "" for name, value in attrs if name == "title"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _pages(shown: list[BaseModel]) -> Iterator[tuple[str, _Checked]]:
    for one in shown:
        html: str = one._repr_html_()  # type: ignore[attr-defined]  # for notebooks, which ask each object for it
        checked = _Checked()
        checked.feed(html)
        assert checked.open == []
        yield html, checked


def test_notebooks_show_tables_of_well_formed_html_without_a_script_or_a_fixed_colour(shown: list[BaseModel]) -> None:
    for html, checked in _pages(shown):
        assert checked.seen <= {"div", "table", "thead", "tbody", "tr", "th", "td"}
        assert "\x1b" not in html
        assert "\u202e" not in html
        assert "color:" not in html
        assert "currentColor" in html or "<thead>" not in html


def test_a_digest_is_cut_and_has_the_whole_as_title(shown: list[BaseModel]) -> None:
    fetched = next(one for one in shown if isinstance(one, Fetched))
    (_, checked), *_ = _pages([fetched])
    assert checked.titles == [file.sha256 for file in fetched.files]
    assert all(f">{file.sha256}<" not in fetched._repr_html_() for file in fetched.files)


def test_tensors_are_shown_the_largest_first(model: Path) -> None:
    html = inspect_file(model / "model.safetensors")._repr_html_()
    assert "30 tensors, of which 20 are shown, the largest first" in html
    assert html.index("layer.29") < html.index("layer.28") < html.index("layer.10")
    assert "layer.9<" not in html


def test_the_changes_of_an_event_are_in_words(shown: list[BaseModel]) -> None:
    events = next(one for one in shown if isinstance(one, Page) and type(one.items[0]).__name__ == "ModelEventSchema")
    html = events._repr_html_()
    assert "alias.set" in html
    assert "production" in html


def test_a_page_says_how_many_there_are_and_whether_there_are_more(mock_db: Session) -> None:
    models = ModelService(mock_db)
    models.create_models([CreateModel(name=f"model-{number}") for number in range(30)])
    page = models.search_models(limit=25, with_total=True)
    assert repr(page) == "Page[ModelSchema](25, total=30, more=True)"
    assert "25 shown of 30, more follow" in page._repr_html_()
    assert page._repr_html_().count("<tr") == 26  # a page is as long as was asked for: nothing of it is left out
    empty = models.search_models(text="nothing-of-this-name")
    assert repr(empty) == "Page[ModelSchema](0, more=False)"
    assert "0 shown<" in empty._repr_html_()


def test_a_failing_comparison_of_two_schemas_names_the_fields_that_differ(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from kamiwaza_sdk import Fetched, FetchedFile

        def fetched(digest, count):
            file = FetchedFile(path="model.onnx", size=3, sha256=digest * 32)
            return Fetched(source="/tiny", name="tiny", files=(file,), bytes_fetched=count, bytes_reused=0)

        def test_equal():
            assert fetched("ab", 3) == fetched("cd", 4)
        """
    )
    result = pytester.runpytest("-p", "no:asyncio")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*2 fields differ:*",
            f"*files[[]0[]].sha256: '{'ab' * 32}' != '{'cd' * 32}'*",
            "*bytes_fetched: 3 != 4*",
        ]
    )


def test_a_notebook_shows_plots_as_pictures(shown: list[BaseModel]) -> None:
    versions = [one for one in shown if isinstance(one, ModelVersionSchema)]
    picture: bytes = plot_lineage(versions)._repr_png_()  # type: ignore[attr-defined]  # for notebooks
    assert picture.startswith(b"\x89PNG")
