"""Filters as values: how they are composed, what they look like in JSON, and what is refused where."""

import asyncio
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from functools import reduce
from operator import and_, invert, or_
from typing import Any, assert_type

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from kamiwaza_sdk import Field, Filter, InvalidFilterException, InvalidInputException
from kamiwaza_sdk.services.model.schemas.filters import (
    MAX_FILTER_CONDITIONS,
    MAX_FILTER_DEPTH,
    MAX_FILTER_VALUES,
    MAX_IN_VALUES,
    fields,
)

EMBEDDING = {"field": "task", "op": "eq", "value": "embedding"}
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Search(BaseModel):
    """A host's own model."""

    where: Filter | None = None


def test_a_filter_of_every_kind_is_as_small_in_json_as_it_is_written() -> None:
    chosen = (Field.task == "embedding") & Field.tag("lang").in_(["en", "ja"]) | ~Field.alias("production")
    lang = {"tag": "lang", "op": "in", "value": ["en", "ja"]}
    assert chosen.model_dump() == {"or": [{"and": [EMBEDDING, lang]}, {"not": {"alias": "production"}}]}
    assert Filter.model_validate_json(chosen.model_dump_json()) == chosen
    assert Filter.parse(chosen.model_dump_json()) == Filter.parse(chosen.model_dump()) == Filter.parse(chosen) == chosen


@pytest.mark.parametrize(
    ("chosen", "op", "value"),
    [
        (Field.task == "a", "eq", "a"),
        (Field.task != "a", "ne", "a"),
        (Field.task < "a", "lt", "a"),
        (Field.task <= "a", "le", "a"),
        (Field.task > "a", "gt", "a"),
        (Field.task >= "a", "ge", "a"),
        ("a" >= Field.task, "le", "a"),  # noqa: SIM300 - the other way round is what is tested
        (Field.task.in_({"a"}), "in", ["a"]),
        (Field.task.startswith("a"), "startswith", "a"),
        (Field.task.contains("a"), "contains", "a"),
        (Field.private == True, "eq", True),  # noqa: E712 - a comparison, not a test
        (Field.number.in_(range(2)), "in", [0, 1]),
        (Field.version_created_at > NOON, "gt", NOON),
        (Field.tag("lang") != "en", "ne", "en"),
        (Field.tag("lang").startswith("e"), "startswith", "e"),
    ],
)
def test_every_operator_has_its_word(chosen: Filter, op: str, value: object) -> None:
    form = chosen.model_dump()
    assert (form["op"], form["value"]) == (op, value)


def test_what_takes_no_value_has_none() -> None:
    assert Field.format.is_none().model_dump() == {"field": "format", "op": "is_none"}
    assert Field.tag("lang").exists().model_dump() == {"tag": "lang", "op": "exists"}
    assert Field.alias("production").model_dump() == {"alias": "production"}


def test_groups_of_one_kind_become_one_and_two_negations_none() -> None:
    a, b, c, d = (Field.name == name for name in "abcd")
    assert ((a & b) & (c & d)).model_dump() == {"and": [one.model_dump() for one in (a, b, c, d)]}
    assert (a | (b | c)).model_dump() == {"or": [one.model_dump() for one in (a, b, c)]}
    assert ~~a == a
    assert ~~~(a & b) == ~(a & b)
    nested = {"and": [{"and": [a.model_dump()]}, {"not": {"not": b.model_dump()}}]}
    assert Filter.parse(nested).model_dump() == nested  # what a host stores comes back as it was


def test_a_filter_is_a_frozen_value() -> None:
    chosen, same = (Field.size > 1) & (Field.task == "a"), (Field.size > 1) & (Field.task == "a")
    assert {chosen: 1}[same] == 1
    assert chosen != (Field.size > 2) & (Field.task == "a")
    assert pickle.loads(pickle.dumps(chosen)) == chosen
    assert repr(Field.alias("x")) == "Filter({'alias': 'x'})"
    assert Filter(chosen.model_dump()) == chosen
    with pytest.raises(ValidationError, match="frozen"):
        chosen.root = same.root


def test_moments_are_kept_in_utc_names_in_normal_form_and_members_of_enums_as_their_values() -> None:
    class Task(str, Enum):  # noqa: UP042 - as hosts had them before StrEnum, whose members print otherwise
        AUDIO = "audio"

    local = datetime(2026, 1, 31, 13, 0, 0, 5, tzinfo=timezone(timedelta(hours=1)))

    assert json.loads((Field.created_at == local).model_dump_json())["value"] == "2026-01-31T12:00:00.000005Z"
    assert (Field.name == "e\u0301") == (Field.name == "\xe9")
    assert (Field.version.in_(["e\u0301"])) == (Field.version.in_(["\xe9"]))
    assert (Field.task == "e\u0301") != (Field.task == "\xe9")
    assert Field.alias("e\u0301") == Field.alias("\xe9")
    assert type((Field.task == Task.AUDIO).model_dump()["value"]) is str


def test_type_checkers_know_what_fits() -> None:
    assert_type(Field.task == "a", Filter)
    assert_type(Field.private != True, Filter)  # noqa: E712 - a comparison, not a test
    assert_type(Field.size < 1, Filter)
    assert_type(Field.created_at >= NOON, Filter)
    assert_type(Field.task.in_(["a"]), Filter)
    assert_type(Field.task.is_none() & ~Field.alias("a") | Field.tag("a").exists(), Filter)
    for wrong in (
        lambda: Field.size < "a",  # type: ignore[operator]  # the mistake under test
        lambda: Field.task.in_([1]),  # type: ignore[list-item]  # as above
        lambda: Field.created_at > "yesterday",  # type: ignore[operator]  # as above
    ):
        with pytest.raises(InvalidFilterException):
            wrong()
    absent: tuple[Callable[[], object], ...] = (
        lambda: Field.name.is_none() | Field.name.is_none(),  # type: ignore[attr-defined]  # as above
        lambda: Field.private.in_([True]),  # type: ignore[attr-defined]  # as above
        lambda: Field.size.startswith("1"),  # type: ignore[attr-defined]  # as above
    )
    for missing in absent:
        with pytest.raises(AttributeError):
            missing()


def _own_fields() -> dict[str, type[object]]:
    return {name: type(value) for name, value in vars(Field).items() if isinstance(value, fields._Comparable)}


def test_field_has_each_field_with_the_methods_that_its_kind_has() -> None:
    assert _own_fields() == {
        "name": fields.TextField,
        "family": fields.OptionalTextField,
        "task": fields.OptionalTextField,
        "author": fields.OptionalTextField,
        "hub": fields.OptionalTextField,
        "source_repository": fields.OptionalTextField,
        "description": fields.OptionalTextField,
        "license": fields.OptionalTextField,
        "private": fields.BooleanField,
        "revision": fields.NumberField,
        "created_at": fields.MomentField,
        "updated_at": fields.MomentField,
        "number": fields.OptionalNumberField,
        "version": fields.OptionalTextField,
        "source_revision": fields.OptionalTextField,
        "digest": fields.OptionalTextField,
        "size": fields.OptionalNumberField,
        "status": fields.OptionalTextField,
        "format": fields.OptionalTextField,
        "parameters": fields.OptionalNumberField,
        "architecture": fields.OptionalTextField,
        "quantization": fields.OptionalTextField,
        "context_length": fields.OptionalNumberField,
        "source": fields.OptionalTextField,
        "version_hub": fields.OptionalTextField,
        "version_source_repository": fields.OptionalTextField,
        "version_description": fields.OptionalTextField,
        "version_revision": fields.OptionalNumberField,
        "version_created_at": fields.OptionalMomentField,
        "version_updated_at": fields.OptionalMomentField,
    }


def test_a_name_that_is_no_field_is_an_attribute_error_that_names_the_closest() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tsk'; did you mean 'task'"):
        Field.tsk  # type: ignore[attr-defined]  # noqa: B018 - the mistake under test
    assert not hasattr(Field, "__wrapped__")


@pytest.mark.parametrize(
    "mistake",
    [
        lambda a, b: a and b,
        lambda a, b: a or b,
        lambda a, _: not a,
        lambda a, _: Field.private and a,
        lambda a, _: a & Field.private,
        lambda a, _: Field.private & a,
        lambda _, __: ~Field.private,  # type: ignore[operator]  # the mistake under test
        lambda _, __: 1 < Field.size < 5,
        lambda _, __: Field.task == "a" | Field.hub == "b",  # type: ignore[operator]  # as above
    ],
)
def test_what_would_drop_a_condition_is_refused(mistake: Callable[[Any, Any], object]) -> None:
    with pytest.raises(InvalidFilterException, match=r"& \| ~|in parentheses|where a condition goes"):
        mistake(Field.task == "a", Field.hub == "b")
    with pytest.raises(TypeError):
        (Field.task == "a") & "b"  # type: ignore[operator]  # the mistake under test


@pytest.mark.parametrize(
    ("given_", "place", "reason"),
    [
        ({"field": "tsk", "op": "eq", "value": "a"}, "field", "did you mean 'task'"),
        ({"field": 1, "op": "eq", "value": "a"}, "field", "there are: name, "),
        ({"field": "x" * 10**6, "op": "eq"}, "field", "no field"),
        ({"field": "size", "op": "startswith", "value": "1"}, "op", "what fits: eq, ne, in, lt, le, gt, ge, is_none"),
        ({"field": "name", "op": "is_none"}, "op", "what fits"),
        ({"field": "task"}, "op", "is missing; what fits"),
        ({"field": "task", "op": ["eq"], "value": "a"}, "op", "does not fit"),
        ({"field": "task", "op": "eq"}, "value", "is missing"),
        ({"field": "task", "op": "is_none", "value": True}, "value", "leave it out"),
        ({"field": "task", "op": "eq", "value": None}, "value", "is_none"),
        ({"field": "name", "op": "eq", "value": None}, "value", "give one"),
        ({"field": "task", "op": "eq", "value": 1}, "value", "must be text"),
        ({"field": "task", "op": "eq", "value": "a\0"}, "value", "NUL"),
        ({"field": "task", "op": "contains", "value": "\ud800"}, "value", "surrogate"),
        ({"field": "size", "op": "eq", "value": True}, "value", "must be an integer"),
        ({"field": "size", "op": "eq", "value": 1.0}, "value", "must be an integer"),
        ({"field": "size", "op": "eq", "value": float("nan")}, "value", "must be an integer"),
        ({"field": "size", "op": "eq", "value": 2**63}, "value", "64 bits"),
        ({"field": "private", "op": "eq", "value": 1}, "value", "true or false"),
        ({"field": "created_at", "op": "gt", "value": "2026-01-31T12:00:00"}, "value", "time zone"),
        ({"field": "created_at", "op": "gt", "value": NOON.replace(tzinfo=None)}, "value", "time zone"),
        ({"field": "created_at", "op": "gt", "value": "0001-01-01T00:00:00+14:00"}, "value", "time zone"),
        ({"field": "created_at", "op": "gt", "value": 0}, "value", "time zone"),
        ({"field": "task", "op": "in", "value": []}, "value", "no values"),
        ({"field": "task", "op": "in", "value": "ab"}, "value", "must be a list"),
        ({"field": "task", "op": "in", "value": 1}, "value", "must be a list"),
        ({"field": "task", "op": "in", "value": ["a", None]}, "value.1", "None"),
        ({"field": "task", "op": "in", "value": ["a"] * (MAX_IN_VALUES + 1)}, "value", "over 1000"),
        ({"tag": "", "op": "exists"}, "tag", "1 to 255"),
        ({"tag": "k" * 256, "op": "exists"}, "tag", "1 to 255"),
        ({"tag": "k", "op": "lt", "value": "a"}, "op", "eq, ne, in, startswith, contains, exists"),
        ({"tag": 1, "op": "exists"}, "tag", "must be text"),
        ({"alias": ""}, "alias", "empty"),
        ({"alias": "a" * 256}, "alias", "255"),
        ({"alias": "latest"}, "alias", "taken for a version"),
        ({"alias": None}, "alias", "must be text"),
        ({"and": []}, "and", "is empty"),
        ({"or": {}}, "or", "must be a list"),
        ({"and": "ab"}, "and", "must be a list"),
        ({"not": []}, "not", "must be an object"),
        ({}, "", "no keys"),
        (None, "", "must be an object"),
        ({"feld": "task"}, "", "did you mean 'field'"),
        ({"": 1, "alias": "a"}, "", "no key of a filter"),
        ({"alias": "a", "value": 1}, "", "has alias, value"),
        ({"and": [EMBEDDING], "or": [EMBEDDING]}, "", "has and, or"),
    ],
)
def test_every_refusal_names_the_place_and_the_way_out(given_: object, place: str, reason: str) -> None:
    with pytest.raises(InvalidFilterException) as caught:
        Filter(given_)
    assert (caught.value.place, caught.value.field) == (place, f"filter.{place}".rstrip("."))
    assert reason in caught.value.reason
    assert isinstance(caught.value, InvalidInputException)
    with pytest.raises(InvalidFilterException) as nested:
        Filter.parse({"and": [EMBEDDING, {"not": given_}]})
    assert nested.value.place == f"and.1.not.{place}".rstrip(".")
    assert nested.value.reason == caught.value.reason


def test_pydantic_itself_says_the_same_place_also_in_a_hosts_own_model() -> None:
    wrong = {"and": [EMBEDDING, {"not": EMBEDDING | {"value": 3}}]}
    for validate, outside in (
        (lambda: Filter.model_validate(wrong), ()),
        (lambda: Filter.model_validate_json(json.dumps(wrong)), ()),
        (lambda: Search(where=wrong), ("where",)),  # type: ignore[arg-type]  # what Pydantic makes one of
        (lambda: Search.model_validate_json(json.dumps({"where": wrong})), ("where",)),
    ):
        with pytest.raises(ValidationError) as caught:
            validate()
        (error,) = caught.value.errors()
        assert error["loc"] == (*outside, "and", 1, "not", "value")
        assert json.loads(caught.value.json())[0]["msg"] == error["msg"] == "for field 'task' must be text, not int"
    assert Search(where=EMBEDDING).model_dump_json() == f'{{"where":{json.dumps(EMBEDDING, separators=(",", ":"))}}}'  # type: ignore[arg-type]  # as above


def _nested(depth: int, inner: object) -> object:
    return reduce(lambda form, _: {"not": form}, range(depth), inner)


def test_depth_is_limited_and_no_depth_breaks_it() -> None:
    assert Filter(_nested(MAX_FILTER_DEPTH - 1, EMBEDDING)).model_dump_json().count("not") == MAX_FILTER_DEPTH - 1
    itself: dict[str, object] = {}
    itself["not"] = itself
    for form in (_nested(MAX_FILTER_DEPTH, EMBEDDING), _nested(100_000, EMBEDDING), itself):
        with pytest.raises(InvalidFilterException, match="deeper than the limit of 16") as caught:
            Filter.parse(form)  # type: ignore[arg-type]  # whatever it is
        assert caught.value.place == ".".join(["not"] * MAX_FILTER_DEPTH)
        with pytest.raises(ValidationError, match="deeper than the limit of 16"):
            Search(where=form)  # type: ignore[arg-type]  # as above
    text = '{"not":' * 100_000 + "{}" + "}" * 100_000
    with pytest.raises(InvalidFilterException, match="deeper than the limit of 16"):
        Filter.parse(text)
    with pytest.raises(ValidationError):
        Filter.model_validate_json(text)
    with pytest.raises(InvalidFilterException, match="is no JSON"):
        Filter.parse(b"{")


def test_depth_is_limited_where_filters_are_composed() -> None:
    chosen = Field.number == 0
    for number in range(1, MAX_FILTER_DEPTH):
        chosen = (and_ if number % 2 else or_)(chosen, Field.number == number)
    with pytest.raises(InvalidFilterException, match="deeper than the limit of 16"):
        chosen | Field.alias("a")
    with pytest.raises(InvalidFilterException, match="deeper than the limit of 16"):
        invert(chosen)


def test_the_number_of_conditions_is_limited() -> None:
    some = [Field.number == number for number in range(MAX_FILTER_CONDITIONS)]
    full = reduce(or_, some)
    with pytest.raises(InvalidFilterException, match="over the limit of 100") as caught:
        full | Field.alias("a")
    assert caught.value.place == "or.100"
    half = ~reduce(and_, some[:60])
    with pytest.raises(InvalidFilterException, match="over the limit of 100") as caught:
        half & half
    assert caught.value.place == "and.1.not.and.40"
    shared: object = EMBEDDING
    for _ in range(MAX_FILTER_DEPTH - 1):
        shared = {"and": [shared] * 1000}  # 10**45 conditions, were they counted
    with pytest.raises(InvalidFilterException, match="over the limit of 100"):
        Filter(shared)


def test_the_number_of_values_is_limited() -> None:
    many = [Field.number.in_(range(MAX_IN_VALUES)) for _ in range(MAX_FILTER_VALUES // MAX_IN_VALUES)]
    with pytest.raises(InvalidFilterException, match="over the limit of 10000"):
        reduce(or_, many) | (Field.number == 1)


def test_a_copy_that_skipped_validation_is_found_out() -> None:
    spoilt = Field.alias("a").model_copy(update={"root": {"field": "nope", "op": "eq"}})
    with pytest.raises(InvalidFilterException, match="no field"):
        Filter.parse(spoilt)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(["eq", "in"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["and", "or", "not", "field", "tag", "alias", "op", "value"]), inner, max_size=3
        )
    ),
    max_leaves=20,
)


@given(_json)
def test_whatever_is_given_is_a_filter_or_refused_with_our_own_error(form: Any) -> None:
    try:
        chosen = Filter(form)
    except InvalidFilterException:
        return
    assert Filter.model_validate_json(chosen.model_dump_json()) == chosen


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_the_json_schema_says_what_there_is(mode: Any) -> None:
    schema = Search.model_json_schema(mode=mode)
    assert schema["properties"]["where"] == {"anyOf": [{"$ref": "#/$defs/Filter"}, {"type": "null"}], "default": None}
    forms = schema["$defs"]["Filter"]["oneOf"]
    parts = {"type": "array", "items": {"$ref": "#/$defs/Filter"}, "minItems": 1, "maxItems": MAX_FILTER_CONDITIONS}
    assert forms[0] == {
        "type": "object",
        "properties": {"and": parts},
        "required": ["and"],
        "additionalProperties": False,
    }
    named = [form["properties"]["field"]["enum"] for form in forms if "field" in form["properties"]]
    assert {name for names in named for name in names} == set(_own_fields())
    assert Filter.model_json_schema(mode=mode)["$ref"] == "#/$defs/Filter"


def _post(app: FastAPI, body: str) -> tuple[int, Any]:
    """Send a body to ``/`` as a server would."""
    sent = list[Any]()

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body.encode(), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_fastapi_takes_a_filter_as_a_body_and_answers_where_one_is_wrong() -> None:
    app = FastAPI()

    @app.post("/")
    def search(where: Filter) -> Filter:
        return where

    chosen = (Field.task == "embedding") & (Field.created_at > NOON)
    assert _post(app, chosen.model_dump_json()) == (200, json.loads(chosen.model_dump_json()))
    status, answer = _post(app, json.dumps({"or": [EMBEDDING, {"tag": "a"}]}))
    assert (status, answer["detail"][0]["loc"]) == (422, ["body", "or", 1, "op"])
    status, answer = _post(app, json.dumps(_nested(300, EMBEDDING)))
    assert (status, answer["detail"][0]["type"]) == (422, "invalid_filter")
    body = app.openapi()["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/Filter-Input"}
