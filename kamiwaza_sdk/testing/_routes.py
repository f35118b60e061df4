"""Requests to a fake hub, and the forms of its answers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, unquote, urlencode

from kamiwaza_sdk.testing._answers import Reply
from kamiwaza_sdk.testing._repositories import Commit, Kind
from kamiwaza_sdk.testing.faults import RecordedRequest

__all__ = ["BadQuestionError", "Question", "Route", "as_json", "as_page", "missing", "refusal"]

KINDS: Final[dict[str, Kind]] = {"models": "model", "datasets": "dataset", "spaces": "space"}
#: What the API tells of one revision, and what of a repository as a whole.
_OF_A_REVISION: Final = frozenset({"revision", "tree", "commits", "paths-info"})
_OF_A_REPOSITORY: Final = frozenset({"refs", "auth-check"})
_TRUE: Final = frozenset({"true", "1"})
_FALSE: Final = frozenset({"false", "0"})
_JSON: Final = {"Content-Type": "application/json; charset=utf-8"}


class BadQuestionError(Exception):
    """A parameter of a request has an unknown value: the hub answers with 400 and this message."""


class Question:
    """A request, as the hub reads it: its path, and its parameters, those of the body included.

    A name may be given several times, and with ``[]`` behind it.
    """

    def __init__(self, record: RecordedRequest) -> None:
        self.path, _, query = record.path.partition("?")
        self._values: dict[str, list[str]] = {}
        for given in (parse_qs(query), _asked_in_body(record)):
            for name, values in given.items():
                self._values.setdefault(name.removesuffix("[]"), []).extend(values)

    @property
    def parts(self) -> list[str]:
        """The segments of the path."""
        return [unquote(part) for part in self.path.split("/")[1:]]

    def values(self, name: str) -> list[str]:
        """Return all values of a parameter."""
        return self._values.get(name, [])

    def value(self, name: str) -> str | None:
        """Return the last value of a parameter, `None` where it is not given."""
        return self.values(name)[-1] if self.values(name) else None

    def flag(self, name: str) -> bool | None:
        """Return a flag, `None` if it is not given."""
        value = (self.value(name) or "").lower()
        return True if value in _TRUE else False if value in _FALSE else None

    def number(self, name: str, default: int) -> int:
        """Return a count.

        Raises:
            BadQuestionError: It is none.
        """
        value = self.value(name)
        if value is None:
            return default
        if not value.isdecimal():
            raise BadQuestionError(f"{name} is {value!r}, and must be a number")
        return int(value)

    def names(self) -> frozenset[str]:
        """Return the parameters that are given."""
        return frozenset(self._values)

    def following(self, start: int) -> str:
        """Return the query of the page that starts at an entry."""
        return urlencode({**self._values, "cursor": start}, doseq=True)


def _asked_in_body(record: RecordedRequest) -> dict[str, list[str]]:
    """Return the parameters in the body of a request, a form or JSON."""
    if record.method != "POST" or not record.body:
        return {}
    if "json" not in record.headers.get("content-type", ""):
        return parse_qs(record.body.decode())
    asked = json.loads(record.body)
    return {
        name: [str(one) for one in (value if isinstance(value, list) else [value])] for name, value in asked.items()
    }


@dataclass(frozen=True)
class Route:
    """The repository and the action of a path."""

    kind: Kind
    name: str
    action: str
    revision: str = "main"
    path: str = ""

    @classmethod
    def of(cls, parts: Sequence[str]) -> "Route | None":
        """Return the route of the segments of a path, `None` for an unknown one."""
        return cls._of_api(parts[1:]) if parts[0] == "api" else cls._of_file(parts)

    @classmethod
    def _of_api(cls, parts: Sequence[str]) -> "Route | None":
        kind, rest = KINDS.get(parts[0]) if parts else None, parts[1:]
        if kind is None or not rest:
            return None
        at = _place(rest, _OF_A_REVISION | _OF_A_REPOSITORY)
        if at is None:
            return cls(kind, "/".join(rest), "revision") if len(rest) <= 2 else None  # noqa: PLR2004 - org/name
        name, action, after = "/".join(rest[:at]), rest[at], rest[at + 1 :]
        if action in _OF_A_REPOSITORY:
            return None if after else cls(kind, name, action)
        return cls(kind, name, action, after[0], "/".join(after[1:])) if after else None

    @classmethod
    def _of_file(cls, parts: Sequence[str]) -> "Route | None":
        kind = KINDS.get(parts[0]) if parts[0] != "models" else None
        rest = parts if kind is None else parts[1:]
        at = _place(rest, frozenset({"resolve"}))
        if at is None or at + 1 >= len(rest):
            return None
        return cls(kind or "model", "/".join(rest[:at]), "resolve", rest[at + 1], "/".join(rest[at + 2 :]))


def _place(parts: Sequence[str], actions: frozenset[str]) -> int | None:
    """Return the position of the action: after a name of two segments, or of one."""
    return next((place for place in (2, 1) if place < len(parts) and parts[place] in actions), None)


def as_json(content: object, more: Mapping[str, str] | None = None) -> Reply:
    """Return an answer of the API."""
    return Reply(200, {**_JSON, **(more or {})}, json.dumps(content, default=str).encode())


def as_page(entries: Sequence[object], question: Question, *, most: int, url: str) -> Reply:
    """Return the requested page of a listing; its ``Link`` leads to the next one, if there is any."""
    start = question.number("cursor", 0)
    end = start + min(question.number("limit", most), most)
    link = {"Link": f'<{url}?{question.following(end)}>; rel="next"'} if end < len(entries) else {}
    return as_json(entries[start:end], link)


def missing(commit: Commit) -> Reply:
    """Return the answer for a file that a commit does not have: clients remember it by the commit."""
    return refusal(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit.id})


def refusal(status: int, code: str | None, message: str, more: Mapping[str, str] | None = None) -> Reply:
    """Return an error in the form of the API: its code and message are in headers."""
    headers = {**_JSON, "X-Error-Message": message, **(more or {})}
    if code is not None:
        headers["X-Error-Code"] = code
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="Authentication required"'
    return Reply(status, headers, json.dumps({"error": message}).encode())
