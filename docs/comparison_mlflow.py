"""What comparison.md says of MLflow, tried: each function is one claim that the page names, and fails if it is wrong.

It was written against MLflow 3.17.2, and runs in an environment of its own::

    python3 -m venv mlflow-venv && mlflow-venv/bin/pip install mlflow==3.17.2
    mlflow-venv/bin/python docs/comparison_mlflow.py

The registry is an SQLite file in a temporary directory. Nothing is served, and nothing but that file is written.
"""

import inspect
import logging
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_CONFIGURE_LOGGING": "false"}
logging.disable(logging.WARNING)

import mlflow  # noqa: E402 - once it is told to keep quiet
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore  # noqa: E402

SOURCE: Final = "s3://bucket/weights"


class Registry:
    """A new registry in a directory."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "registry.db"
        uri = f"sqlite:///{self.file}"
        self.client: Any = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)  # Any: it is not typed

    def create(self, name: str, *, versions: int = 0, **tags: str) -> None:
        """Create a model and some versions."""
        self.client.create_registered_model(name, tags=tags)
        for _ in range(versions):
            self.client.create_model_version(name, SOURCE)

    def names(self, condition: str | None = None) -> list[str]:
        """Return the names of the models that a filter finds."""
        return [model.name for model in self.client.search_registered_models(condition)]

    def numbers(self, name: str) -> list[int]:
        """Return the numbers of a model's versions, sorted."""
        return sorted(version.version for version in self.client.search_model_versions(f"name = '{name}'"))

    def tables(self) -> set[str]:
        """Return the tables there are."""
        with sqlite3.connect(self.file) as connection:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def refused(call: Callable[[], object]) -> bool:
    """Tell whether a call is refused."""
    try:
        call()
    except MlflowException:
        return True
    return False


def filters_join_by_and_only(registry: Registry) -> None:
    """Conditions are joined by AND; there is no OR, no NOT and no parenthesis."""
    registry.create("a", lang="en")
    assert registry.names("name = 'a' AND tags.lang = 'en'") == ["a"]
    for condition in ("name = 'a' OR name = 'b'", "NOT name = 'a'", "(name = 'a')"):
        assert refused(lambda condition=condition: registry.names(condition)), condition


def models_are_found_by_name_and_tags_only(registry: Registry) -> None:
    """Neither a description, nor a moment, nor an alias can be asked for; of names and tags, patterns can."""
    registry.create("minilm", lang="en")
    assert registry.names("name ILIKE '%MINI%'") == registry.names("tags.lang LIKE 'e%'") == ["minilm"]
    for condition in ("description = 'x'", "creation_timestamp > 0", "aliases.production = '1'"):
        assert refused(lambda condition=condition: registry.names(condition)), condition


def unequal_leaves_out_what_has_no_tag(registry: Registry) -> None:
    """A model without a tag is neither equal nor unequal to a value of it."""
    registry.create("english", lang="en")
    registry.create("untagged")
    assert registry.names("tags.lang != 'ja'") == ["english"]
    assert registry.names("tags.lang = 'ja'") == []


def versions_are_found_across_models(registry: Registry) -> None:
    """Versions of all models are searched, by name, number, run, source and tags."""
    registry.create("a", versions=2)
    registry.create("b", versions=1)
    found = registry.client.search_model_versions("version_number = 1", order_by=["name DESC"])
    assert [version.name for version in found] == ["b", "a"]
    assert refused(lambda: registry.client.search_model_versions("status = 'READY'"))


def pages_shift_when_others_write(registry: Registry) -> None:
    """A token is an offset: what is created before it meanwhile lets a model come twice, what is deleted hides one."""
    for name in ("b", "c", "d"):
        registry.create(name)
    first = registry.client.search_registered_models(max_results=2)
    registry.create("a")
    second = registry.client.search_registered_models(max_results=2, page_token=first.token)
    assert [model.name for model in [*first, *second]] == ["b", "c", "c", "d"]
    registry.client.delete_registered_model("a")
    registry.client.delete_registered_model("b")
    assert list(registry.client.search_registered_models(max_results=2, page_token=first.token)) == []


def a_token_is_taken_by_any_query(registry: Registry) -> None:
    """A token of one filter is not refused by another, where it skips."""
    for name in ("a", "b", "c"):
        registry.create(name, lang="en")
    token = registry.client.search_registered_models(max_results=1).token
    assert [model.name for model in registry.client.search_registered_models("name = 'a'", page_token=token)] == []


def a_search_tells_no_total(registry: Registry) -> None:
    """What a search returns has a token and no total, and there is no method that counts."""
    registry.create("a")
    assert not hasattr(registry.client.search_registered_models(), "total")
    assert not [name for name in dir(registry.client) if "count" in name]


def deleting_a_model_is_for_good(registry: Registry) -> None:
    """A deleted model is gone with its versions; its name is free, and numbers begin anew."""
    registry.create("a", versions=2)
    registry.client.delete_registered_model("a")
    assert not [
        name for name in dir(registry.client) if "restore" in name and ("model" in name or "registered" in name)
    ]
    registry.create("a", versions=1)
    assert registry.numbers("a") == [1]


def deleting_a_version_takes_its_aliases_along(registry: Registry) -> None:
    """A version in production is deleted without a question, and the alias is gone with it."""
    registry.create("a", versions=1)
    registry.client.set_registered_model_alias("a", "production", 1)
    registry.client.delete_model_version("a", 1)
    assert registry.client.get_registered_model("a").aliases == {}


def numbers_of_versions_are_not_reused(registry: Registry) -> None:
    """The number of a deleted version is not given out again."""
    registry.create("a", versions=2)
    registry.client.delete_model_version("a", 2)
    registry.client.create_model_version("a", SOURCE)
    assert registry.numbers("a") == [1, 3]


def an_alias_has_no_past(registry: Registry) -> None:
    """Setting an alias again moves it, and nothing tells where it led; nothing but the caller can take it back."""
    registry.create("a", versions=2)
    for number in (1, 2):
        registry.client.set_registered_model_alias("a", "production", number)
    with sqlite3.connect(registry.file) as connection:
        kept = connection.execute("SELECT alias, version FROM registered_model_aliases").fetchall()
    assert kept == [("production", 2)]
    assert not [table for table in registry.tables() if "history" in table or "audit" in table]
    assert [name for name in dir(registry.client) if "history" in name or "rollback" in name] == ["get_metric_history"]


def an_alias_follows_a_rename(registry: Registry) -> None:
    """A renamed model keeps its versions and aliases."""
    registry.create("a", versions=1)
    registry.client.set_registered_model_alias("a", "production", 1)
    registry.client.rename_registered_model("a", "b")
    assert registry.client.get_model_version_by_alias("b", "production").version == 1


def a_copy_names_its_source_only(registry: Registry) -> None:
    """A copy has the address of its original as its source, which is no reference: that may be deleted."""
    registry.create("staging", versions=1)
    registry.client.copy_model_version("models:/staging/1", "production")
    registry.client.delete_registered_model("staging")
    assert registry.client.get_model_version("production", 1).source == "models:/staging/1"
    assert not [
        name for name in dir(registry.client) if "ancestor" in name or "descendant" in name or "lineage" in name
    ]


def the_same_source_is_registered_twice(registry: Registry) -> None:
    """Two versions of the same source are two versions: what is kept of a version is an address, not its files."""
    registry.create("a", versions=2)
    assert registry.numbers("a") == [1, 2]
    assert not [table for table in registry.tables() if "file" in table or "blob" in table]


def a_change_cannot_expect_a_revision(registry: Registry) -> None:
    """The last of two who change a description wins."""
    registry.create("a")
    parameters = inspect.signature(registry.client.update_registered_model).parameters
    assert set(parameters) <= {"name", "description", "deployment_job_id"}


def every_call_commits_by_itself(registry: Registry) -> None:
    """The store takes an address, and makes its own sessions: it takes no session or connection, and so joins none."""
    registry.create("a")
    with sqlite3.connect(registry.file) as another:
        assert another.execute("SELECT name FROM registered_models").fetchall() == [("a",)]
    assert list(inspect.signature(SqlAlchemyStore.__init__).parameters) == ["self", "db_uri", "read_db_uri"]


def the_database_is_its_own(registry: Registry) -> None:
    """Its tables have general names, and its Alembic version is in ``alembic_version``, as a host's own would be."""
    registry.create("a")
    assert {"alembic_version", "experiments", "runs", "tags", "params", "webhooks", "jobs"} <= registry.tables()
    assert not [table for table in registry.tables() if "mlflow" in table]


def nothing_is_async(registry: Registry) -> None:
    """No method of the client is a coroutine."""
    methods = inspect.getmembers(type(registry.client), inspect.isfunction)
    assert not [name for name, method in methods if inspect.iscoroutinefunction(method)]


def models_are_created_one_by_one(registry: Registry) -> None:
    """No method takes many models."""
    assert [name for name in dir(registry.client) if "create" in name and "registered" in name] == [
        "create_registered_model"
    ]


def a_model_has_a_description_tags_and_aliases(registry: Registry) -> None:
    """There is no licence, family or task of its own to ask for, and there are no settings to run a model with."""
    registry.create("a")
    belongings = {table for table in registry.tables() if table.startswith(("registered_model_", "model_version_"))}
    assert belongings == {"registered_model_aliases", "registered_model_tags", "model_version_tags"}
    with sqlite3.connect(registry.file) as connection:
        columns = {row[1] for row in connection.execute("PRAGMA table_info(registered_models)")}
    assert columns == {"workspace", "name", "creation_time", "last_updated_time", "description"}


def workspaces_keep_names_apart(registry: Registry) -> None:
    """With workspaces on, two of them have a model of one name each, and neither sees the other's."""
    os.environ["MLFLOW_ENABLE_WORKSPACES"] = "true"
    try:
        client: Any = mlflow.MlflowClient(  # Any: it is not typed
            tracking_uri=f"sqlite:///{registry.file}", registry_uri=f"sqlite:///{registry.file}"
        )
        for name in ("team-a", "team-b"):
            client.create_workspace(name)
            mlflow.set_workspace(name)
            client.create_registered_model("minilm", description=name)
            assert [model.description for model in client.search_registered_models()] == [name]
    finally:
        mlflow.set_workspace(None)
        del os.environ["MLFLOW_ENABLE_WORKSPACES"]


CLAIMS: Final = (
    filters_join_by_and_only,
    models_are_found_by_name_and_tags_only,
    unequal_leaves_out_what_has_no_tag,
    versions_are_found_across_models,
    pages_shift_when_others_write,
    a_token_is_taken_by_any_query,
    a_search_tells_no_total,
    deleting_a_model_is_for_good,
    deleting_a_version_takes_its_aliases_along,
    numbers_of_versions_are_not_reused,
    an_alias_has_no_past,
    an_alias_follows_a_rename,
    a_copy_names_its_source_only,
    the_same_source_is_registered_twice,
    a_change_cannot_expect_a_revision,
    every_call_commits_by_itself,
    the_database_is_its_own,
    nothing_is_async,
    models_are_created_one_by_one,
    a_model_has_a_description_tags_and_aliases,
    workspaces_keep_names_apart,
)


def main() -> int:
    """Try every claim in a registry of its own, and say what came of it."""
    wrong = 0
    sys.stdout.write(f"MLflow {mlflow.__version__}\n")
    for claim in CLAIMS:
        with TemporaryDirectory() as directory:
            try:
                claim(Registry(Path(directory)))
            except (AssertionError, MlflowException) as error:
                wrong += 1
                sys.stdout.write(f"wrong  {claim.__name__}: {error!r}\n")
            else:
                sys.stdout.write(f"holds  {claim.__name__}\n")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
