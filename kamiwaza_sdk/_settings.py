"""How every configuration is read: arguments, then the environment, then ``.env``; errors name the variable."""

import difflib
import os
from typing import Annotated, Any, ClassVar, Final

from dotenv import dotenv_values
from pydantic import BeforeValidator, ByteSize, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from kamiwaza_sdk.exceptions import ConfigurationException

__all__ = ["Settings", "Size"]

_BYTE_SIZE: Final = TypeAdapter(ByteSize)


def _size(value: object) -> int:
    try:
        return _BYTE_SIZE.validate_python(value)
    except ValidationError:
        raise ValueError("is no size; write a number of bytes, or one with a unit, such as 10 GiB") from None


#: A number of bytes; "10 GiB" is accepted too. Not Pydantic's `ByteSize`, to which no plain integer can be assigned.
Size = Annotated[int, BeforeValidator(_size)]


class Settings(BaseSettings):
    """Base of the configurations. Nothing is read before an instance is made.

    Raises:
        ConfigurationException: A variable with our prefix is unknown, or a value cannot be used.
    """

    # Unknown keys are looked for below: "forbid" would also refuse what a host keeps in its own ``.env``.
    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    def __init__(self, **values: Any) -> None:  # Any: what callers give is what validation is for
        self._refuse_unknown(values)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _translated(type(self), error, values) from None  # the original carries the input: it may be secret

    @classmethod
    def _refuse_unknown(cls, values: dict[str, Any]) -> None:
        prefix = cls.model_config.get("env_prefix", "")
        known = {f"{prefix}{name}".upper() for name in cls.model_fields}
        for name in (*os.environ, *dotenv_values(".env")):
            if name.upper().startswith(prefix) and name.upper() not in known:
                raise ConfigurationException(name, f"is no known setting{_suggestion(name.upper(), known, prefix)}")
        for name in values.keys() - cls.model_fields.keys():
            raise ConfigurationException(name, f"is no known setting{_suggestion(name, set(cls.model_fields), '')}")


def _suggestion(name: str, known: set[str], prefix: str) -> str:
    own = [other.removeprefix(prefix) for other in known]  # what all share would make all alike
    close = difflib.get_close_matches(name.removeprefix(prefix), own, n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else f"; known are {', '.join(sorted(known))}"


def _translated(kind: type[Settings], error: ValidationError, values: dict[str, Any]) -> ConfigurationException:
    problem = error.errors(include_url=False, include_input=False)[0]
    field = str(problem["loc"][0])
    setting = field if field in values else f"{kind.model_config.get('env_prefix', '')}{field}".upper()
    original = problem.get("ctx", {}).get("error")
    return ConfigurationException(setting, getattr(original, "reason", problem["msg"].removeprefix("Value error, ")))
