"""What overrides make of a configuration: RFC 7396."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from kamiwaza_sdk import InvalidInputException, ModelConfigSchema

NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=1), inner, max_size=3),
    max_leaves=12,
)
OBJECT = st.dictionaries(st.text("abc", max_size=1), JSON, max_size=3)


def with_config(config: dict[str, JsonValue]) -> ModelConfigSchema:
    """A configuration as it is returned."""
    moment = "2026-01-01T00:00:00Z"
    own = {"id": UUID(int=7), "namespace": "default", "model_id": UUID(int=7), "version_id": None, "name": "c"}
    rest = {"is_default": False, "system_config": {}, "created_at": moment, "updated_at": moment}
    return ModelConfigSchema.model_validate({**own, **rest, "config": config})


def _without_none(value: JsonValue) -> JsonValue:
    """What a merge makes of an object where nothing was: objects lose what is `None`, lists do not."""
    if not isinstance(value, dict):
        return value
    return {key: _without_none(inner) for key, inner in value.items() if inner is not None}


@given(config=OBJECT, patch=OBJECT)
@settings(max_examples=150)
def test_overrides_are_laid_over_as_rfc_7396_has_it(config: dict[str, JsonValue], patch: dict[str, JsonValue]) -> None:
    schema = with_config(config)
    before = schema.model_dump_json()
    merged = schema.merged(patch)
    assert schema.merged({}) == config
    assert with_config({}).merged(patch) == _without_none(patch)
    assert with_config(merged).merged(patch) == merged
    assert merged.keys() == (config.keys() | patch.keys()) - {key for key, value in patch.items() if value is None}
    for key in merged:
        base, value = config.get(key), patch.get(key)
        if key not in patch:
            assert merged[key] == base
        elif isinstance(value, dict):
            assert merged[key] == with_config(base if isinstance(base, dict) else {}).merged(value)
        else:
            assert merged[key] == value
    assert schema.model_dump_json() == before


@pytest.mark.parametrize(
    ("config", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_rfc_7396_come_out_as_it_says(
    config: dict[str, JsonValue], patch: dict[str, JsonValue], merged: dict[str, JsonValue]
) -> None:
    """Those of its appendix A that begin and end with an object."""
    assert with_config(config).merged(patch) == merged


@pytest.mark.parametrize("overrides", [None, [("a", 1)], "a"])
def test_overrides_that_are_no_object_are_refused(overrides: Any) -> None:  # Any: the mistake under test
    with pytest.raises(InvalidInputException, match="must be a dict"):
        with_config({"a": 1}).merged(overrides)
