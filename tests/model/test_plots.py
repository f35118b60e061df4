"""The picture of lineage: every version that was given, left of what was made from it."""

from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    CreateFile,
    CreateModel,
    CreateParent,
    CreateVersion,
    InvalidInputException,
    ModelService,
    ModelVersionSchema,
    plot_lineage,
)


def made(models: ModelService, name: str, *parents: UUID) -> ModelVersionSchema:
    model = models.create_model(CreateModel(name=name))
    file = CreateFile(path="model.onnx", size=1, sha256=model.id.hex * 2)
    of = tuple(CreateParent(version_id=parent, relation="merged") for parent in parents)
    return models.create_version(model.id, CreateVersion(files=(file,), derived_from=of))


def test_each_version_is_drawn_to_the_right_of_its_parents_with_an_arrow_and_the_relation(mock_db: Session) -> None:
    models = ModelService(mock_db)
    one, other = made(models, "one"), made(models, "$other$")
    child = made(models, "child", one.id, other.id)
    grandchild = made(models, "grandchild", child.id, one.id)
    axes = plot_lineage([grandchild, other, child, one]).axes[0]
    places = {text.get_text(): text.get_position() for text in axes.texts if ":" in text.get_text()}
    assert {name: x for name, (x, _) in places.items()} == {
        "one:1": 0,
        r"\$other\$:1": 0,
        "child:1": 1,
        "grandchild:1": 2,
    }
    assert len(set(places.values())) == len(places)
    assert [text.get_text() for text in axes.texts].count("merged") == 4


def test_parents_that_were_not_given_are_not_drawn(mock_db: Session) -> None:
    models = ModelService(mock_db)
    child = made(models, "child", made(models, "parent").id)
    assert [text.get_text() for text in plot_lineage([child]).axes[0].texts] == ["child:1"]


@pytest.mark.parametrize("versions", [[], ["org/model"], [None]])
def test_what_cannot_be_drawn_is_refused(versions: list[ModelVersionSchema]) -> None:
    with pytest.raises(InvalidInputException, match="versions"):
        plot_lineage(versions)
