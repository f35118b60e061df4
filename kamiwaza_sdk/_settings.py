"""How every configuration is read: arguments, then the environment, then ``.env``; errors name the variable."""

import difflib
import os
import re
import stat
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar, Final

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from kamiwaza_sdk.exceptions import ConfigurationException

_DOTENV: Final = Path(".env")

# Kubernetes tells every pod of every Service in its namespace: a Service "model-service" becomes MODEL_SERVICE_PORT,
# MODEL_SERVICE_SERVICE_HOST and so on, one "storage-service-v2" STORAGE_SERVICE_V2_PORT. Nobody wrote those by mistake.
_FROM_KUBERNETES: Final = re.compile(
    r"(?:[A-Z0-9_]+_)?"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:ADDR|PORT|PROTO))?)?)"
)


def token_problem(token: str) -> str | None:
    """Return why no header can carry a token, `None` where one can. It repeats nothing of it."""
    if not token:
        return "is no token: it is empty, which no header can carry; copy it again"
    if token.split(maxsplit=1)[0].lower() in {"bearer", "token", "basic"} and len(token.split()) > 1:
        return "has a word such as 'Bearer' before the token; leave that out, it is added where it belongs"
    if not (token.isascii() and token.isprintable()) or " " in token:
        return "is no token: it has white space or other characters that no header can carry; copy it again"
    return None


class Settings(BaseSettings):
    """Base of the configurations. Nothing is read before an instance is made.

    Raises:
        ConfigurationException: A variable with our prefix is unknown, or a value cannot be used.
    """

    # Unknown keys are looked for below: "forbid" would also refuse what a host keeps in its own ``.env``.
    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_file_encoding="utf-8", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    def __init__(self, **values: Any) -> None:  # Any: what callers give is what validation is for
        dotenv = _dotenv()
        self._refuse_unknown(values, _names_in(dotenv))
        try:
            super().__init__(_env_file=dotenv, **values)
        except ValidationError as error:
            refusal = _translated(type(self), error, values)
        else:
            return
        raise refusal  # not there: the original, as its context, carries the input, which may be secret

    @classmethod
    def _refuse_unknown(cls, values: dict[str, Any], in_dotenv: list[str]) -> None:
        prefix = cls.model_config.get("env_prefix", "")
        known = {f"{prefix}{name}".upper() for name in cls.model_fields}
        injected = {name for name in os.environ if _FROM_KUBERNETES.fullmatch(name.removeprefix(prefix))}
        for name in (*(os.environ.keys() - injected), *in_dotenv):
            if name.upper().startswith(prefix) and name.upper() not in known:
                raise ConfigurationException(name, f"is no known setting{_suggestion(name.upper(), known, prefix)}")
        for name in values.keys() - cls.model_fields.keys():
            raise ConfigurationException(name, f"is no known setting{_suggestion(name, set(cls.model_fields), '')}")


def _dotenv() -> Path | None:
    """Return ``.env`` where it is a regular file: to read a pipe would be to hang."""
    try:
        return _DOTENV if stat.S_ISREG(_DOTENV.stat().st_mode) else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(error) from error


def _names_in(dotenv: Path | None) -> list[str]:
    if dotenv is None:
        return []
    try:
        text = dotenv.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigurationException(str(_DOTENV), "is not in UTF-8; save it in that encoding") from None
    except OSError as error:
        raise _unreadable(error) from error
    return list(dotenv_values(stream=StringIO(text)))


def _unreadable(error: OSError) -> ConfigurationException:
    return ConfigurationException(str(_DOTENV), f"cannot be read: {error.strerror}; make it readable, or remove it")


def _suggestion(name: str, known: set[str], prefix: str) -> str:
    own = [other.removeprefix(prefix) for other in known]  # what all share would make all alike
    close = difflib.get_close_matches(name.removeprefix(prefix), own, n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else f"; known are {', '.join(sorted(known))}"


def _translated(kind: type[Settings], error: ValidationError, values: dict[str, Any]) -> ConfigurationException:
    problem = error.errors(include_url=False, include_input=False)[0]
    original = problem.get("ctx", {}).get("error")
    if not problem["loc"] and isinstance(original, ConfigurationException):  # of a variable without our prefix
        return ConfigurationException(original.setting, original.reason)
    # What is wrong with several fields together has no place of its own.
    field = str(problem["loc"][0]) if problem["loc"] else kind.__name__
    named = field in values or not problem["loc"]
    setting = field if named else f"{kind.model_config.get('env_prefix', '')}{field}".upper()
    return ConfigurationException(setting, getattr(original, "reason", problem["msg"].removeprefix("Value error, ")))
