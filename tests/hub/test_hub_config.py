"""``HUB_SERVICE_…``, and what ``huggingface_hub`` goes by: read when needed, and a token for its own host only."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from kamiwaza_sdk import ConfigurationException, DownloadConfig, HubConfig


def token_of(config: HubConfig) -> str | None:
    return None if config.hf_token is None else config.hf_token.get_secret_value()


def test_without_anything_it_is_hugging_face_asked_by_nobody() -> None:
    config = HubConfig()
    assert (config.hf_endpoint, token_of(config), config.offline) == ("https://huggingface.co", None, False)
    assert config.hf_host == "huggingface.co"


def test_ours_beat_those_of_huggingface_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HF_ENDPOINT": "https://a.org", "HF_TOKEN": "hf_a", "HF_HUB_OFFLINE": "yes"}.items():
        monkeypatch.setenv(name, value)
    config = HubConfig()
    assert (config.hf_endpoint, token_of(config), config.offline) == ("https://a.org", "hf_a", True)
    monkeypatch.setenv("HUB_SERVICE_HF_ENDPOINT", "https://b.org/hub/")
    monkeypatch.setenv("HUB_SERVICE_HF_TOKEN", "hf_b")
    monkeypatch.setenv("HUB_SERVICE_OFFLINE", "0")
    config = HubConfig()
    assert (config.hf_endpoint, token_of(config), config.offline) == ("https://b.org/hub", "hf_b", False)


@pytest.mark.parametrize(
    ("variables", "offline"),
    [({"TRANSFORMERS_OFFLINE": "1"}, True), ({"TRANSFORMERS_OFFLINE": "1", "HF_HUB_OFFLINE": "0"}, False)],
)
def test_offline_is_what_huggingface_hub_takes_for_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], *, offline: bool
) -> None:
    """The variable of transformers counts where that of the hub is not set."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    told = "from huggingface_hub import is_offline_mode; print(is_offline_mode())"
    done = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True)
    assert (HubConfig().offline, done.stdout.strip()) == (offline, str(offline))


def test_a_token_of_huggingface_hub_is_for_the_endpoint_of_huggingface_hub_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert token_of(HubConfig()) == "hf_secret"
    assert token_of(HubConfig(hf_endpoint="https://huggingface.co/")) == "hf_secret"
    assert token_of(HubConfig(hf_endpoint="https://mirror.example.org")) is None
    monkeypatch.setenv("HUB_SERVICE_HF_ENDPOINT", "https://mirror.example.org")
    assert token_of(HubConfig()) is None
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example.org")
    assert token_of(HubConfig()) == "hf_secret"


def test_the_token_file_is_looked_for_where_huggingface_hub_puts_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def keep(path: Path, token: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{token}\n")

    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert token_of(HubConfig()) is None
    keep(tmp_path / ".cache/huggingface/token", "hf_home")
    assert token_of(HubConfig()) == "hf_home"
    keep(tmp_path / "xdg/huggingface/token", "hf_xdg")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert token_of(HubConfig()) == "hf_xdg"
    keep(tmp_path / "hf/token", "hf_hf_home")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    assert token_of(HubConfig()) == "hf_hf_home"
    keep(tmp_path / "elsewhere", "hf_path")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "elsewhere"))
    assert token_of(HubConfig()) == "hf_path"
    monkeypatch.setenv("HF_TOKEN", "hf_environment")
    assert token_of(HubConfig()) == "hf_environment"
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert token_of(HubConfig()) is None


def test_a_token_goes_over_https_or_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = SecretStr("hf_secret")
    for endpoint in ("http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost", "https://hub.example.org"):
        assert HubConfig(hf_endpoint=endpoint, hf_token=secret).hf_token == secret
    with pytest.raises(ConfigurationException, match="^hf_token: .*could be read on its way") as refused:
        HubConfig(hf_endpoint="http://hub.example.org", hf_token=secret)
    assert "hf_secret" not in str(refused.value)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example.org")
    assert token_of(HubConfig()) is None


@pytest.mark.parametrize("nobody", [None, SecretStr("")])
def test_nobody_can_be_asked_for_though_there_is_a_token(
    monkeypatch: pytest.MonkeyPatch, nobody: SecretStr | None
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert token_of(HubConfig(hf_token=nobody)) is None
    monkeypatch.setenv("HUB_SERVICE_HF_TOKEN", "")
    assert token_of(HubConfig()) is None


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("https://hub.example.org", "hub.example.org"),
        ("https://HUB.example.org:443/x", "hub.example.org"),
        ("https://hub.example.org:8443", "hub.example.org:8443"),
        ("http://hub.example.org", "hub.example.org:80"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
    ],
)
def test_the_token_is_for_one_host_and_port(endpoint: str, host: str) -> None:
    assert HubConfig(hf_endpoint=endpoint).hf_host == host


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("HUB_SERVICE_HF_ENDPOINT", "huggingface.co", "is no http or https URL"),
        ("HUB_SERVICE_HF_ENDPOINT", "https://user:hunter2@huggingface.co", "has credentials"),
        ("HUB_SERVICE_HF_ENDPOINT", "https://huggingface.co?token=hunter2", "has credentials, a query"),
        ("HUB_SERVICE_HF_TOKEN", "hunter2\nInjected: 1", "is no token"),
        ("HUB_SERVICE_HF_TOKEN", "hunter2 hunter2", "is no token"),
        ("HUB_SERVICE_OFFLINE", "perhaps", "valid boolean"),
        ("HUB_SERVICE_HF_TOKNE", "hunter2", "did you mean HUB_SERVICE_HF_TOKEN"),
    ],
)
def test_a_setting_that_is_unknown_or_bad_is_named_and_never_repeated(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationException, match=f"^{variable}: .*{complaint}") as refused:
        HubConfig()
    assert "hunter2" not in str(refused.value)


def test_settings_are_pickled_without_a_token_only() -> None:
    config = HubConfig(hf_endpoint="https://hub.example.org")
    assert pickle.loads(pickle.dumps(config)) == config
    with pytest.raises(ConfigurationException, match="^hf_token: cannot be pickled"):
        pickle.dumps(HubConfig(hf_token=SecretStr("hf_secret")))


def test_a_token_is_not_shown() -> None:
    assert "hf_secret" not in repr(HubConfig(hf_token=SecretStr("hf_secret")))


@pytest.mark.parametrize(
    "token", ["Bearer hf_hunter2", "hf hunter2", "hf_hünter2", "hf_hunter2\nX: 1", "hf_\udcffhunter2"]
)
@pytest.mark.parametrize("name", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUB_SERVICE_HF_TOKEN"])
def test_a_text_that_is_no_token_is_refused_by_the_name_of_its_variable(
    name: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, token)
    with pytest.raises(ConfigurationException, match=f"^{name}: (is no token|has a word such as 'Bearer')") as refused:
        HubConfig()
    assert refused.value.setting == name
    assert "hunter2" not in f"{refused.value} {refused.value.__cause__} {refused.value.__context__}"


def test_a_file_that_holds_no_token_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    (tmp_path / "token").write_text("Bearer hf_hunter2\n")
    with pytest.raises(ConfigurationException, match="has a word such as 'Bearer'") as refused:
        HubConfig()
    assert refused.value.setting == str(tmp_path / "token")
    (tmp_path / "token").write_text(" \n")
    assert HubConfig().hf_token is None


@pytest.mark.parametrize("token", ["Bearer hunter2", "", "hunter 2", "hünter2"])
def test_a_token_of_another_host_is_checked_likewise(token: str) -> None:
    with pytest.raises(ConfigurationException, match="^tokens: holds for one host what") as refused:
        DownloadConfig(tokens={"example.org": SecretStr(token)})
    assert "hunter" not in str(refused.value)


def test_an_endpoint_of_huggingface_hub_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://user:hunter2@hub.example.org")
    with pytest.raises(ConfigurationException, match="^HF_ENDPOINT: has credentials") as refused:
        HubConfig()
    assert "hunter2" not in str(refused.value)
    monkeypatch.setenv("HUB_SERVICE_HF_ENDPOINT", "https://hub.example.org")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(ConfigurationException, match="^HF_ENDPOINT: has credentials"):
        HubConfig()
