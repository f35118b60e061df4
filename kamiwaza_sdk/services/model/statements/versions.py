"""Statements about versions and their files."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Select, String, bindparam, delete, insert, lambda_stmt, select, update

from kamiwaza_sdk.services.model.schemas.version import ModelFileSchema, ModelVersionSchema
from kamiwaza_sdk.services.model.statements.constructs import (
    ALIAS,
    CONFIG,
    FILE,
    LINEAGE,
    MODEL,
    VERSION,
    VERSION_TAG,
    bound,
    json_array,
    json_map,
    json_object,
    json_texts,
    raw,
)

__all__ = [
    "DELETE_FILE",
    "DELETE_VERSION",
    "DELETE_VERSION_BELONGINGS",
    "FAILED_FILES",
    "INSERT_FILES",
    "LATEST_VERSION",
    "UPDATE_FILE",
    "UPDATE_VERSION",
    "VERSIONS_BY_DIGEST",
    "VERSION_BY_ALIAS",
    "VERSION_BY_ID",
    "VERSION_BY_LABEL",
    "VERSION_BY_NUMBER",
    "VERSION_KEYS",
    "VERSION_OWNER",
    "VERSION_PAGE",
    "VERSION_SELECT",
]

#: What a row's values are called in the schema, in their order.
VERSION_KEYS: Final = tuple(ModelVersionSchema.model_fields)

_AGGREGATED: Final[dict[str, ColumnElement[Any]]] = {  # Any: JSON, and a name
    "model_name": MODEL.c.name,
    # With the row, not after it: another transaction may replace the files of a draft, or delete it, in between.
    "files": select(json_array(json_object.of(**{key: FILE.c[key] for key in ModelFileSchema.model_fields})))
    .where(FILE.c.namespace == VERSION.c.namespace, FILE.c.version_id == VERSION.c.id)
    .correlate(VERSION)
    .scalar_subquery(),
    "tags": select(json_map(VERSION_TAG.c.key, VERSION_TAG.c.value))
    .where(VERSION_TAG.c.namespace == VERSION.c.namespace, VERSION_TAG.c.version_id == VERSION.c.id)
    .correlate(VERSION)
    .scalar_subquery(),
    "aliases": select(json_array(ALIAS.c.alias))
    .where(ALIAS.c.namespace == VERSION.c.namespace, ALIAS.c.version_id == VERSION.c.id)
    .correlate(VERSION)
    .scalar_subquery(),
    "derived_from": select(json_array(json_object.of(version_id=LINEAGE.c.parent_id, relation=LINEAGE.c.relation)))
    .where(LINEAGE.c.namespace == VERSION.c.namespace, LINEAGE.c.version_id == VERSION.c.id)
    .correlate(VERSION)
    .scalar_subquery(),
}


def _column(key: str) -> ColumnElement[Any]:  # Any: columns of several types
    return _AGGREGATED[key].label(key) if key in _AGGREGATED else raw(VERSION, (key,))[0]


VERSION_SELECT: Final[Select[Any]] = (  # Any: as above
    select(*map(_column, VERSION_KEYS))
    .join_from(VERSION, MODEL, (VERSION.c.namespace == MODEL.c.namespace) & (VERSION.c.model_id == MODEL.c.id))
    .where(VERSION.c.namespace == bound(VERSION, "namespace"), MODEL.c.deleted_at.is_(None))
)
_OF_MODEL: Final = VERSION.c.model_id == bound(VERSION, "model_id")
_OF_NAMED_MODEL: Final = MODEL.c.name == bound(MODEL, "name")
_WITH_ID: Final = VERSION.c.id == bound(VERSION, "id")
_IN_NAMESPACE: Final = VERSION.c.namespace == bound(VERSION, "namespace")

_BY_ID: Final = VERSION_SELECT.where(_WITH_ID)
_BY_NUMBER: Final = VERSION_SELECT.where(_OF_NAMED_MODEL, VERSION.c.number == bound(VERSION, "number"))
_BY_LABEL: Final = VERSION_SELECT.where(_OF_NAMED_MODEL, VERSION.c.version == bound(VERSION, "version"))
_BY_ALIAS: Final = VERSION_SELECT.join(ALIAS, ALIAS.c.version_id == VERSION.c.id).where(
    _OF_NAMED_MODEL, ALIAS.c.namespace == VERSION.c.namespace, ALIAS.c.alias == bound(ALIAS, "alias")
)
_LATEST: Final = (
    VERSION_SELECT.where(_OF_NAMED_MODEL, VERSION.c.status == "ready").order_by(VERSION.c.number.desc()).limit(1)
)
# Lambdas, as those that find one model are, and for the same reason.
VERSION_BY_ID: Final = lambda_stmt(lambda: _BY_ID)
VERSION_BY_NUMBER: Final = lambda_stmt(lambda: _BY_NUMBER)
VERSION_BY_LABEL: Final = lambda_stmt(lambda: _BY_LABEL)
VERSION_BY_ALIAS: Final = lambda_stmt(lambda: _BY_ALIAS)
LATEST_VERSION: Final = lambda_stmt(lambda: _LATEST)
#: The first versions of a status that have just these files.
VERSIONS_BY_DIGEST: Final = (
    VERSION_SELECT.where(
        _OF_MODEL, VERSION.c.digest == bound(VERSION, "digest"), VERSION.c.status == bound(VERSION, "status")
    )
    .order_by(VERSION.c.number)
    .limit(10)
)
#: Which of these contents are those of files of failed versions, deleted models' too, with what was said of those.
FAILED_FILES: Final = (
    select(
        *(VERSION.c.id.label("version_id"), MODEL.c.name, VERSION.c.number, VERSION.c.details, VERSION.c.created_at),
        VERSION.c.size.label("version_size"),
        *(FILE.c.path, FILE.c.size, FILE.c.sha256),
    )
    .join_from(FILE, VERSION, (VERSION.c.id == FILE.c.version_id) & (VERSION.c.namespace == FILE.c.namespace))
    .join(MODEL, (MODEL.c.id == VERSION.c.model_id) & (MODEL.c.namespace == VERSION.c.namespace))
    .where(
        FILE.c.namespace == bound(FILE, "namespace"),
        FILE.c.sha256.op("IN", is_comparison=True)(json_texts(bindparam("_digests", type_=String()))),
        VERSION.c.status == "failed",
    )
    .order_by(VERSION.c.id)
)
VERSION_PAGE: Final = (
    VERSION_SELECT.where(_OF_MODEL, VERSION.c.number > bound(VERSION, "number"))
    .order_by(VERSION.c.number)
    .limit(bindparam("_limit"))
)
#: Which model a version is of, for its row to be held; which never changes.
VERSION_OWNER: Final = select(VERSION.c.model_id).where(_IN_NAMESPACE, _WITH_ID)

#: The values to set are named by the parameters that it is executed with.
UPDATE_VERSION: Final = update(VERSION).where(_IN_NAMESPACE, _WITH_ID)
DELETE_VERSION: Final = delete(VERSION).where(_IN_NAMESPACE, _WITH_ID)
DELETE_VERSION_BELONGINGS: Final = tuple(
    delete(table).where(table.c.namespace == bound(VERSION, "namespace"), table.c.version_id == bound(VERSION, "id"))
    for table in (LINEAGE, VERSION_TAG, CONFIG, FILE)
)

INSERT_FILES: Final = insert(FILE)
_ONE_FILE: Final = (
    FILE.c.namespace == bound(FILE, "namespace"),
    FILE.c.version_id == bound(FILE, "version_id"),
    FILE.c.path == bound(FILE, "path"),
)
UPDATE_FILE: Final = update(FILE).where(*_ONE_FILE)
DELETE_FILE: Final = delete(FILE).where(*_ONE_FILE)
