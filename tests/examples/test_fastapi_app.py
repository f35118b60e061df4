"""The web application, behind a real uvicorn, asked over real HTTP."""

import asyncio
import gc
import socket
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

import pytest
import uvicorn
from aiohttp import ClientSession, ClientTimeout
from alembic.config import main
from fastapi import Depends, FastAPI, Request
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from examples.fastapi_app.dependencies import Database, Service
from examples.fastapi_app.errors import answer_service_exception
from examples.fastapi_app.main import create_app, lifespan
from kamiwaza_sdk import (
    AliasNotFoundException,
    AsyncModelService,
    BulkException,
    BulkResult,
    ChecksumMismatchException,
    CreateModel,
    DatabaseBusyException,
    DatabaseConnectionException,
    DatabaseNotReadyException,
    DataLossException,
    DownloadDiskException,
    DownloadTimeoutException,
    HubService,
    InUseException,
    ModelSchema,
    ModelTooLargeException,
    ModelVersionSchema,
    OpenTransactionException,
    RevisionConflictException,
    ServiceException,
    StorageFullException,
)
from tests.serving import Server

PATIENCE: Final = 30.0


@dataclass(frozen=True)
class Answer:
    """What the application answered."""

    status: int
    type: str
    headers: dict[str, str]
    body: Any  # Any: JSON

    def is_problem(self, status: int, kind: str) -> bool:
        """Whether it is a problem of RFC 9457, of this kind."""
        return (
            (self.status, self.type) == (status, "application/problem+json")
            and self.body.keys() == {"type", "title", "status", "detail"}
            and self.body["status"] == status
            and self.body["type"].endswith(f"/{kind}")
        )


class Client:
    """Asks the application."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Send a request, and return the answer."""
        async with self._session.request(method, path, json=body, headers=headers) as response:
            is_json = response.content_type.endswith("json")
            content = await (response.json(content_type=None) if is_json else response.text())
            return Answer(response.status, response.content_type, dict(response.headers), content)

    async def get(self, path: str) -> Answer:
        """Ask for what lies under a path."""
        return await self.ask("GET", path)

    async def post(self, path: str, **body: object) -> Answer:
        """Send fields to a path."""
        return await self.ask("POST", path, body)

    async def names(self) -> list[str]:
        """Return the names of the models that there are."""
        return [model["name"] for model in (await self.get("/models")).body]


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[str]:
    """Run an application on a free port of loopback. Whoever connects early waits in the socket's backlog.

    In the test's own thread: FastAPI silences warnings for a moment, which is for all threads of a process.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@pytest.fixture(autouse=True)
def small_limit(isolated: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the application take small models only, so that a test need not make a large one."""
    monkeypatch.setenv("MODEL_SERVICE_MAX_MODEL_SIZE", "1000")


ROOT: Final = Path(__file__).parents[2]


def alembic(*arguments: str) -> None:
    """Run ``alembic`` as the example's docstring has it, in the environment of the test."""
    main(["-c", str(ROOT / "examples/fastapi_app/alembic.ini"), *arguments])


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that the example's migrations have made, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "registry.db"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MODEL_SERVICE_DATABASE_URL", f"sqlite:///{file}")
        alembic("upgrade", "head")
    return file


@pytest.fixture(autouse=True)
def database(migrated: Path, tmp_path: Path, small_limit: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a database of its own."""
    copyfile(migrated, tmp_path / "registry.db")
    monkeypatch.setenv("MODEL_SERVICE_DATABASE_URL", f"sqlite:///{tmp_path}/registry.db")


@pytest.fixture
def app() -> FastAPI:
    """The example's application. A test may give it routes of its own before it asks for the client."""
    return create_app()


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[Client]:
    async with running(app) as url, ClientSession(url, timeout=ClientTimeout(PATIENCE)) as session:
        yield Client(session)


async def test_a_deployment_is_committed_with_what_the_registry_says_or_not_at_all(
    client: Client, server: Server
) -> None:
    """A host serves the version that its reference led to; where it leads nowhere, the host serves what it did."""
    pulled = await client.post("/models/pull", url=server.add("/m.onnx", body=b"weights"), name="tiny")
    deployed = await client.ask("PUT", "/deployments/gpu-1", {"reference": "tiny:1"})
    missing = await client.ask("PUT", "/deployments/gpu-1", {"reference": "tiny:2"})

    assert deployed.body == {"host": "gpu-1", "reference": "tiny:1", "version_id": pulled.body["id"]}
    assert missing.is_problem(404, "VersionNotFoundException")
    assert (await client.get("/deployments")).body == [deployed.body]


async def test_on_postgresql_over_asyncpg_it_starts_once_alembic_has_migrated(
    empty_postgresql_url: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the migrations make is what the models declare. What has rows, is not dropped on the way back."""
    monkeypatch.setenv("MODEL_SERVICE_DATABASE_URL", empty_postgresql_url.replace("+psycopg", "+asyncpg"))
    with pytest.raises(DatabaseNotReadyException):
        async with lifespan(FastAPI()):
            pass
    await asyncio.to_thread(alembic, "upgrade", "head")
    await asyncio.to_thread(alembic, "check")

    async with running(create_app()) as url, ClientSession(url, timeout=ClientTimeout(PATIENCE)) as session:
        pulled = await Client(session).post("/models/pull", url=server.add("/m.onnx", body=b"weights"), name="tiny")
        deployments = [
            await Client(session).ask("PUT", f"/deployments/gpu-{number}", {"reference": "tiny"}) for number in (1, 2)
        ]
        assert [answer.body["version_id"] for answer in deployments] == [pulled.body["id"]] * 2

    with pytest.raises(DataLossException):
        await asyncio.to_thread(alembic, "downgrade", "base")


async def test_creates_gets_and_lists(client: Client) -> None:
    """A model that was created is the one that is found by its id and listed."""
    created = await client.post("/models", name="org/tiny", task="text-generation")

    assert created.status == 201
    assert ModelSchema.model_validate(created.body).revision == 1
    assert (await client.get(f"/models/{created.body['id']}")).body == created.body
    assert (await client.get("/models")).body == [created.body]


async def test_pages(client: Client) -> None:
    """A list goes on after the name that the page before ended with."""
    for name in ("a", "b", "c"):
        await client.post("/models", name=name)

    page = await client.get("/models?after=a&limit=1")

    assert [model["name"] for model in page.body] == ["b"]


async def test_missing_model_is_404(client: Client) -> None:
    """The answer to an unknown id is a problem that names it."""
    model_id = uuid4()

    answer = await client.get(f"/models/{model_id}")

    assert answer.is_problem(404, "ModelNotFoundException")
    assert answer.body["title"] == "Not Found"
    assert str(model_id) in answer.body["detail"]


async def test_taken_name_is_409(client: Client) -> None:
    """A second model of the same name is refused, and is not there afterwards."""
    await client.post("/models", name="tiny", task="first")

    answer = await client.post("/models", name="tiny", task="second")

    assert answer.is_problem(409, "ModelAlreadyExistsException")
    assert [model["task"] for model in (await client.get("/models")).body] == ["first"]


@pytest.mark.parametrize(
    ("request_line", "body", "kind", "detail"),
    [
        ("POST /models", {"name": "a:b"}, "InvalidInputException", "name 'a:b' contains ':'"),
        ("POST /models", {}, "InvalidInputException", "name is not acceptable"),
        ("POST /models", {"name": "a", "nmae": "b"}, "InvalidInputException", "nmae is no field of CreateModel"),
        ("POST /models/pull", {}, "InvalidInputException", "body.url is not acceptable"),
        ("GET /models/tiny", None, "InvalidInputException", "path.model_id is not acceptable"),
        (
            "POST /models/search",
            {"where": {"and": [{"field": "lisense", "op": "is_none"}]}},
            "InvalidFilterException",
            "filter.and.0.field is 'lisense', which is no field; did you mean 'license'?",
        ),
        ("POST /models/search", {"where": {}}, "InvalidFilterException", "filter"),
        ("POST /models/search", {"sort": "colour"}, "InvalidInputException", "body.sort is not acceptable"),
        ("POST /models/bulk", [{"name": "a"}, {"name": "a:b"}], "InvalidInputException", "name 'a:b' contains ':'"),
        (f"PUT /versions/{UUID(int=0)}/aliases/latest", None, "InvalidInputException", "alias 'latest'"),
        (f"PUT /models/{UUID(int=0)}/tags/lang", {}, "InvalidInputException", "body.value is not acceptable"),
        ("GET /events?cursor=x", None, "InvalidCursorException", "cursor 'x'"),
        ("GET /models?limit=0", None, "InvalidInputException", "limit must be a whole number from 1 to 1000"),
        ("GET /versions/tiny@a:b", None, "InvalidInputException", "reference 'tiny@a:b'"),
    ],
)
async def test_bad_input_is_422(client: Client, request_line: str, body: object, kind: str, detail: str) -> None:
    """Whether the service or FastAPI refuses it, the answer is of one form, and says what is wrong where."""
    method, path = request_line.split()

    answer = await client.ask(method, path, body)

    assert answer.is_problem(422, kind)
    assert answer.body["detail"].startswith(detail)
    assert await client.names() == []


async def test_changes_what_is_given(client: Client) -> None:
    """A patch changes the fields that it has, clears those that are null, and leaves the others."""
    created = await client.post("/models", name="tiny", task="text-generation", license="mit", author="me")

    changed = await client.ask("PATCH", f"/models/{created.body['id']}", {"license": "apache-2.0", "author": None})

    assert changed.status == 200
    assert {**created.body, "license": "apache-2.0", "author": None} == {
        **changed.body,
        "revision": 1,
        "updated_at": created.body["updated_at"],
    }


async def test_refused_change_changes_nothing(client: Client) -> None:
    """A patch that gives a model the name of another is refused whole."""
    await client.post("/models", name="taken")
    created = await client.post("/models", name="tiny")

    answer = await client.ask("PATCH", f"/models/{created.body['id']}", {"name": "taken", "task": "other"})

    assert answer.is_problem(409, "ModelAlreadyExistsException")
    assert (await client.get(f"/models/{created.body['id']}")).body == created.body


async def test_changes_only_what_was_seen(client: Client) -> None:
    """Of two who change the same revision, the second is refused, and what the first has changed stays."""
    created = await client.post("/models", name="tiny")
    path = f"/models/{created.body['id']}?expected_revision=1"

    first = await client.ask("PATCH", path, {"task": "chat"})
    second = await client.ask("PATCH", path, {"task": "embedding"})

    assert first.status == 200
    assert second.is_problem(409, "RevisionConflictException")
    assert (await client.get(f"/models/{created.body['id']}")).body == first.body


async def test_searches(client: Client) -> None:
    """A filter and a text are bodies; the pages of what they find hold each model once, in order."""
    for name, task in (("a", "chat"), ("b", "embedding"), ("c", "chat"), ("d", "chat")):
        await client.post("/models", name=name, task=task, description="Small.", tags={"lang": "en"})
    where = {
        "and": [
            {"field": "task", "op": "eq", "value": "chat"},
            {"tag": "lang", "op": "exists"},
            {"not": {"field": "name", "op": "eq", "value": "a"}},
        ]
    }

    first = await client.post("/models/search", where=where, text="sma", descending=True, limit=1, with_total=True)
    rest = await client.post(
        "/models/search", where=where, text="sma", descending=True, cursor=first.body["next_cursor"]
    )

    assert [model["name"] for model in first.body["items"]] == ["d"]
    assert first.body["total"] == 2
    assert [model["name"] for model in rest.body["items"]] == ["c"]
    assert rest.body["next_cursor"] is None


async def test_cursor_of_another_search_is_422(client: Client) -> None:
    """A cursor is good for the search that it came from."""
    for name in ("a", "b"):
        await client.post("/models", name=name)
    page = await client.post("/models/search", limit=1)

    answer = await client.post("/models/search", limit=1, descending=True, cursor=page.body["next_cursor"])

    assert answer.is_problem(422, "InvalidCursorException")


async def test_creates_many(client: Client) -> None:
    """Many models are created at once, and those that are there are left alone where that is asked for."""
    await client.post("/models", name="a")

    answer = await client.ask("POST", "/models/bulk?on_conflict=skip", [{"name": "a"}, {"name": "b"}])

    assert answer.status == 201
    assert BulkResult.model_validate(answer.body) == BulkResult(created=1, skipped=1)
    assert await client.names() == ["a", "b"]


async def test_refused_one_of_many_is_409_and_none_is_created(client: Client) -> None:
    """The answer has the status of what one of them was refused for, and says which."""
    await client.post("/models", name="taken")

    answer = await client.ask("POST", "/models/bulk", [{"name": "new"}, {"name": "taken"}])

    assert answer.is_problem(409, "BulkException")
    assert "index 1" in answer.body["detail"]
    assert await client.names() == ["taken"]


@pytest.fixture
async def versions(client: Client, server: Server) -> list[ModelVersionSchema]:
    """Two versions of a model, ``org/tiny``."""
    urls = [server.add(f"/{number}/model.onnx", body=b"weights" * number) for number in (1, 2)]
    pulled = [await client.post("/models/pull", url=url, name="org/tiny") for url in urls]
    return [ModelVersionSchema.model_validate(answer.body) for answer in pulled]


async def test_moves_an_alias_and_rolls_it_back(client: Client, versions: list[ModelVersionSchema]) -> None:
    """A reference finds the version that an alias was moved to, then the one it was rolled back to, then none."""
    aliases = f"/models/{versions[0].model_id}/aliases/production"
    led_to = []

    for version in versions:
        assert (await client.ask("PUT", f"/versions/{version.id}/aliases/production")).status == 200
        led_to.append((await client.get("/versions/org/tiny@production")).body["number"])
    assert (await client.post(f"{aliases}/rollback")).status == 200
    led_to.append((await client.get("/versions/org/tiny@production")).body["number"])
    assert (await client.ask("DELETE", aliases)).status == 204

    assert led_to == [1, 2, 1]
    assert (await client.get("/versions/org/tiny@production")).is_problem(404, "AliasNotFoundException")


async def test_archiving_what_an_alias_leads_to_is_409(client: Client, versions: list[ModelVersionSchema]) -> None:
    """A version in production is not archived, and one that is archived cannot go into production."""
    first, second = versions
    await client.ask("PUT", f"/versions/{first.id}/aliases/production")

    in_use = await client.ask("PATCH", f"/versions/{first.id}", {"status": "archived"})
    archived = await client.ask("PATCH", f"/versions/{second.id}", {"status": "archived"})
    moved = await client.ask("PUT", f"/versions/{second.id}/aliases/production")

    assert in_use.is_problem(409, "InUseException")
    assert (archived.status, archived.body["status"]) == (200, "archived")
    assert moved.is_problem(409, "VersionStatusException")
    assert (await client.get("/versions/org/tiny@production")).body["number"] == 1


async def test_sets_and_deletes_tags(client: Client) -> None:
    """A tag, whose key may have slashes, is set, given another value, and deleted once."""
    created = await client.post("/models", name="tiny")
    path = f"/models/{created.body['id']}"
    tag = f"{path}/tags/team/owner"

    for value in ("ann", "bo"):
        assert (await client.ask("PUT", tag, {"value": value})).status == 204
    tags = (await client.get(path)).body["tags"]
    statuses = [(await client.ask("DELETE", tag)).status for _ in range(2)]

    assert tags == {"team/owner": "bo"}
    assert statuses == [204, 404]
    assert (await client.get(path)).body["tags"] == {}


async def test_tells_what_happened_and_who_did_it(client: Client) -> None:
    """The history of a model has what each request did, under the name that the proxy in front gave."""
    created = await client.post("/models", name="tiny")
    path = f"/models/{created.body['id']}"
    await client.ask("PATCH", path, {"task": "chat"}, **{"X-Forwarded-User": "ann"})
    await client.ask("PATCH", path, {"name": "a:b"}, **{"X-Forwarded-User": "bo"})

    of_model = await client.get(f"/events?model_id={created.body['id']}")
    latest = await client.get("/events?descending=true&limit=1")

    assert [(event["kind"], event["actor"], event["after"]) for event in of_model.body["items"]] == [
        ("model.created", None, {"name": "tiny"}),
        ("model.updated", "ann", {"task": "chat"}),
    ]
    assert latest.body["items"] == of_model.body["items"][-1:]


async def test_deletes(client: Client) -> None:
    """A deleted model is not found any more, and the answer says that it was deleted."""
    created = await client.post("/models", name="tiny")

    assert (await client.ask("DELETE", f"/models/{created.body['id']}")).status == 204
    answer = await client.get(f"/models/{created.body['id']}")
    assert answer.is_problem(404, "ModelNotFoundException")
    assert "is deleted" in answer.body["detail"]


async def test_pulls(client: Client, server: Server) -> None:
    """A pulled file is a version that every reference to it finds; pulled again, it is the same and costs no bytes."""
    url = server.add("/model.onnx", body=b"weights", etag='"1"')

    pulled = await client.post("/models/pull", url=url, name="org/tiny", version="v1")
    again = await client.post("/models/pull", url=url, name="org/tiny")

    assert pulled.status == 201
    assert again.body == pulled.body
    assert [request.headers.get("if-none-match") for request in server.requests] == [None, '"1"']
    for reference in ("org/tiny", "org/tiny:1", "org/tiny:v1"):
        assert (await client.get(f"/versions/{reference}")).body == pulled.body
    assert (await client.get(f"/models/{pulled.body['model_id']}/versions")).body == [pulled.body]


@pytest.mark.parametrize(
    ("pull", "status", "kind"),
    [
        ({"url": "{server}/missing"}, 502, "DownloadStatusException"),
        ({"url": "{server}/model.onnx", "sha256": "0" * 64}, 502, "ChecksumMismatchException"),
        ({"url": "{server}/model.onnx", "sha256": "0"}, 422, "InvalidInputException"),
        ({"url": "{server}/model.onnx", "name": "a:b"}, 422, "InvalidInputException"),
        ({"url": "{server}/large.onnx"}, 413, "DownloadTooLargeException"),
        ({"url": "/etc/hostname"}, 422, "InvalidSourceException"),
        ({"url": "file:///etc/hostname"}, 422, "InvalidInputException"),
    ],
)
async def test_failed_pull_registers_nothing(
    client: Client, server: Server, pull: dict[str, str], status: int, kind: str
) -> None:
    """Whatever a pull fails for, and a path of the server's own is one reason, no model is there afterwards."""
    server.add("/model.onnx", body=b"weights")
    server.add("/large.onnx", body=b"weights" * 1000)

    answer = await client.post("/models/pull", **{**pull, "url": pull["url"].format(server=server.url(""))})

    assert answer.is_problem(status, kind)
    assert await client.names() == []


async def test_errors_keep_secrets(client: Client, server: Server) -> None:
    """A password or signature in a URL is in no answer."""
    url = server.url("/missing?signature=hush").replace("http://", "http://me:hush@")

    answer = await client.post("/models/pull", url=url)

    assert answer.status == 502
    assert "/missing" in answer.body["detail"]
    assert "hush" not in str(answer.body)


async def test_pull_holds_no_connection_while_it_transfers(app: FastAPI, client: Client) -> None:
    """While a pull waits for its server, it has no connection of the pool, and others can write."""

    @app.get("/connections")
    async def connections(request: Request) -> int:
        in_use: int = request.state.engine.pool.checkedout()
        return in_use

    with Server() as slow:
        url = slow.add("/model.onnx", body=b"weights", stall_after=3)
        pulling = asyncio.create_task(client.post("/models/pull", url=url))
        await asyncio.to_thread(slow.stalled.wait, PATIENCE)

        assert (await client.get("/connections")).body == 0
        assert (await client.post("/models", name="other")).status == 201

    assert (await pulling).is_problem(502, "DownloadInterruptedException")


async def test_the_usual_dependency_pulls_and_after_a_query_tells_why_it_cannot(
    app: FastAPI, client: Client, server: Server
) -> None:
    """Where ``db.begin()`` is around the route; and no coroutine is left that nobody awaits."""

    async def begun(request: Request) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(request.state.engine) as db, db.begin():
            yield db

    @app.post("/pull-begun")
    async def pull_begun(db: Annotated[AsyncSession, Depends(begun, scope="function")], url: str, query: bool) -> str:
        models = AsyncModelService(db, hub=HubService())
        if query:
            await models.list_models()
        return (await models.pull_model(url, name="tiny")).model_name

    url = server.add("/model.onnx", body=b"weights")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        refused = await client.post(f"/pull-begun?url={url}&query=true")
        asked = len(server.requests)
        pulled = await client.post(f"/pull-begun?url={url}&query=false")
        gc.collect()

    assert refused.is_problem(409, "OpenTransactionException")
    assert (asked, pulled.status, pulled.body) == (0, 200, "tiny")
    assert await client.names() == ["tiny"]
    assert [str(one.message) for one in warned if "never awaited" in str(one.message)] == []


async def test_one_of_many_gets_a_name(client: Client) -> None:
    """Of twenty clients that create one name at once, one is told "created", all others "exists"."""
    answers = await asyncio.gather(*(client.post("/models", name="tiny") for _ in range(20)))

    assert sorted(answer.status for answer in answers) == [201] + [409] * 19
    assert await client.names() == ["tiny"]


async def test_many_write_at_once(client: Client) -> None:
    """Twenty clients that create twenty names at once all get theirs."""
    names = [f"model-{number:02}" for number in range(20)]

    answers = await asyncio.gather(*(client.post("/models", name=name) for name in names))

    assert {answer.status for answer in answers} == {201}
    assert await client.names() == names


async def test_error_undoes_what_the_request_wrote(app: FastAPI, client: Client) -> None:
    """What a route had written before it failed is not there afterwards."""

    @app.post("/write-then-fail")
    async def write_then_fail(service: Service) -> None:
        model = await service.create_model(CreateModel(name="tiny"))
        await service.get_model(model.id)
        await service.get_model(UUID(int=0))

    assert (await client.post("/write-then-fail")).is_problem(404, "ModelNotFoundException")
    assert await client.names() == []


async def test_failed_commit_is_never_a_success(app: FastAPI, client: Client) -> None:
    """Where the commit fails, the client is told so, although the route had returned."""

    @app.post("/fail-to-commit", status_code=201)
    async def fail_to_commit(service: Service, db: Database) -> ModelSchema:
        @event.listens_for(db.sync_session, "before_commit")
        def fail(_session: object) -> None:
            raise DatabaseBusyException(code="40001", transaction_usable=False)

        return await service.create_model(CreateModel(name="tiny"))

    answer = await client.post("/fail-to-commit")

    assert answer.is_problem(503, "DatabaseBusyException")
    assert answer.headers["Retry-After"] == "1"
    assert await client.names() == []


async def test_describes_itself(client: Client) -> None:
    """The schema that FastAPI derives from ours has every route, and says what a model is."""
    schema = (await client.get("/openapi.json")).body

    assert {"/models", "/models/{model_id}", "/models/pull", "/versions/{reference}"} <= schema["paths"].keys()
    assert schema["components"]["schemas"]["CreateModel"]["required"] == ["name"]
    assert {"field", "tag", "alias", "not"} <= {
        key for form in schema["components"]["schemas"]["Filter"]["oneOf"] for key in form["properties"]
    }


def of_many(cause: Exception) -> BulkException:
    """Return the error of many models, of which one was refused."""
    error = BulkException(index=1, result=BulkResult(), cause=cause)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AliasNotFoundException(alias="production", model="tiny", namespace="default"), 404),
        (RevisionConflictException(model=UUID(int=0), expected=1, actual=2), 409),
        (InUseException(version=UUID(int=0), reason="it is"), 409),
        (of_many(RevisionConflictException(model=UUID(int=0), expected=1, actual=2)), 409),
        (of_many(DatabaseConnectionException()), 503),
        (of_many(ServiceException("private")), 500),
        (ModelTooLargeException(name="tiny", size=2, limit=1), 413),
        (OpenTransactionException(operation="pull_model()"), 409),
        (ChecksumMismatchException(url="http://host/", expected="a", actual="b"), 502),
        (DownloadTimeoutException(url="http://host/", seconds=1, received=0, setting="stall_timeout"), 502),
        (DatabaseConnectionException(), 503),
        (DownloadDiskException(url="http://host/", path=Path("/private"), code=28, detail="No space left"), 507),
        (StorageFullException(path=Path("/private"), errno=28), 507),
        (DatabaseNotReadyException(revision="private"), 500),
        (ServiceException("private"), 500),
    ],
)
async def test_each_error_has_its_status(error: ServiceException, status: int) -> None:
    """Every branch of the tree has a status; what is this server's own affair is told to its log, not to the client."""
    answer = await answer_service_exception(Request({"type": "http"}), error)

    assert answer.status_code == status
    assert b"private" not in bytes(answer.body)
    assert ("retry-after" in answer.headers) == (status == 503)
