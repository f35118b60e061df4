"""What a file is called that is fetched from one URL: by the URL, or by its server where that names none."""

import pytest

from kamiwaza_sdk import DownloadStatusException, HubConfig, HubService, StorageService
from tests.serving import Server

BODY = b"weights"


def named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; {name}"}


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('filename="lora_v1.safetensors"', "lora_v1.safetensors"),
        ("filename=\"a.bin\"; filename*=UTF-8''mod%C3%A8le.gguf", "modèle.gguf"),
        ('filename="../../etc/passwd"', "passwd"),
        ('filename=".."', "181248"),
        ('filename="a/"', "181248"),
    ],
)
async def test_the_server_names_what_the_url_does_not_for_plan_and_fetch_alike(
    disposition: str, name: str, storage: StorageService, server: Server
) -> None:
    url = server.add("/api/download/models/181248", body=BODY, headers=named(disposition)) + "?type=Model"
    hub = HubService(storage=storage)
    plan = await hub.plan(url)
    fetched = await hub.fetch(url)
    assert [file.path for file in plan.manifest.files] == [file.path for file in fetched.files] == [name]
    assert [file.path for file in (await hub.fetch(plan)).files] == [name]


async def test_a_url_that_names_a_file_costs_no_request_for_its_name(storage: StorageService, server: Server) -> None:
    url = server.add("/model.gguf", body=BODY, headers=named('filename="other.gguf"'))
    fetched = await HubService(storage=storage).fetch(url)
    assert ([file.path for file in fetched.files], len(server.requests)) == (["model.gguf"], 1)


async def test_without_a_connection_the_name_is_the_one_that_was_told(storage: StorageService, server: Server) -> None:
    url = server.add("/181248", body=BODY, headers=named('filename="lora.safetensors"'), etag='"1"')
    before = await HubService(storage=storage).fetch(url)
    asked = len(server.requests)
    offline = HubService(storage=storage, config=HubConfig(offline=True))
    after = await offline.fetch(url)
    assert [file.path for file in after.files] == [file.path for file in before.files] == ["lora.safetensors"]
    assert len(server.requests) == asked


async def test_what_is_not_there_is_refused_by_its_status(storage: StorageService, server: Server) -> None:
    with pytest.raises(DownloadStatusException) as refused:
        await HubService(storage=storage).fetch(server.url("/181248"))
    assert refused.value.status == 404
