"""Redaction: addresses without what lets people in. The one rule for what is kept, shown and logged of them."""

import re
from typing import Final
from urllib.parse import unquote

_ADDRESS: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+):(/+)([^/?#]*)([^?#]*)")
#: What a path without any of these has no secret in.
_MAY_LET_IN: Final = re.compile(r"[?#=%]|eyJ|/p/|hf_|gh[a-z]_|github_pat_|glpat-")
#: The same of an address.
_MAY_HOLD_SECRET: Final = re.compile(rf"[@:]|{_MAY_LET_IN.pattern}")
_WEB: Final = ("http", "https", "ftp", "ftps")
#: Where Azure's drivers have a container before the ``@``.
_WITH_CONTAINERS: Final = frozenset({"abfs", "abfss", "wasb", "wasbs"})
_HOST: Final = re.compile(r"(?:\[[^\[\]@]*\]|[^\[\]@:]*)(?::[0-9]*)?")
#: A host that no password can be taken for, with a port.
_PLAIN_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|localhost|[^@:]+\.[^@:]+)(?::[0-9]*)?")
#: What the name of a parameter ends with that lets people in: of Amazon, Google, Azure, Oracle, Akamai, Alibaba,
#: Tencent and GitLab, and of sessions and OAuth.
_SECRET_NAME: Final = re.compile(
    r"(?:sig|signature|token|hmac|hdnts|hdnea|session_?id|password|passwd|pwd|passphrase|secret|credentials?"
    r"|api[_-]?key|access[_-]?key(?:[_-]?id)?|access[_-]?id|private[_-]?key|subscription[_-]?key|key-pair-id|rlkey"
    r"|auth|authorization|policy)\s*=",
    re.IGNORECASE,
)
#: What lets people in by itself: a JSON Web Token (RFC 7519), and tokens of Hugging Face, GitHub and GitLab.
_TOKEN: Final = re.compile(
    r"eyJ[\w-]{4,}\.[\w-]+\.[\w-]*|hf_[A-Za-z0-9]{30,}|gh[a-z]_[A-Za-z0-9]{30,}|github_pat_\w{22,}|glpat-[\w-]{20,}"
)
#: What Oracle's pre-authenticated requests have after ``/p/``.
_ORACLE: Final = re.compile(r"(?<=/p/)[^/]{16,}(?=/n/)")
#: Where what may be a query begins that was encoded into a path, or is part of an object's key.
_QUERY: Final = re.compile(r"%(?:25)*(?:3F|23)|[?#]", re.IGNORECASE)
#: How often what is written may be encoded.
_ENCODINGS: Final = 4
_QUERY_IN_TEXT: Final = re.compile(r"\?\S+")
_HIDDEN: Final = "…"


def kept_address(value: str) -> str:
    """Return an address as it may be kept: without query, fragment, user information and what else lets people in.

    What has no scheme is a path, or the name of something, and stays what it is. An ``@`` of ``hf://`` stands before a
    revision, of ``ollama://`` before a digest, of ``abfss://`` behind a container; elsewhere, behind a user.

    Example:
        >>> kept_address("https://me:secret@example.org/m/model.onnx?X-Amz-Signature=secret")
        'https://example.org/m/model.onnx'
        >>> kept_address("s3://secret@bucket/m%3Ftoken%3Dsecret")
        's3://bucket/m'
        >>> kept_address("hf://gpt2@main")
        'hf://gpt2@main'
    """
    match = _ADDRESS.match(value)
    if match is None or not _MAY_HOLD_SECRET.search(value, match.end(2)):
        return value
    scheme, slashes, authority, path = match[1], match[2], match[3], match[4]
    lower = scheme.lower()
    is_web = lower.endswith(_WEB)
    if not is_web and slashes != "//":  # a path alone, as file: has
        return f"{scheme}:{slashes}{without_secrets(authority + path)}"
    host = _host(lower, authority, path)
    if is_web and not _is_host(host, authority, path):  # a password that was not quoted: where it ends is not known
        return f"{scheme}://{_HIDDEN}"
    return f"{scheme}:{slashes}{host}{without_secrets(path)}"


def redact_text(text: str) -> str:
    """Return what may be shown of a text that may be no address: rather too little than a secret.

    Example:
        >>> redact_text("ftp://me:secret@example.org/file?token=secret")
        'ftp://example.org/file'
    """
    if _ADDRESS.match(text):
        return kept_address(text)
    head, *tail = re.split(r"[?#]", text, maxsplit=1)
    if any("@" in part for part in tail):  # the '?' may belong to a password that was not quoted
        return _HIDDEN
    return without_secrets(head.rpartition("@")[2])


def without_secrets(path: str) -> str:
    """Return an address's path without tokens and signatures, each of whose segments becomes ``…``."""
    if not _MAY_LET_IN.search(path):
        return path
    query = _QUERY.search(path)
    if query is not None and _SECRET_NAME.search(_plain(path[query.start() :])):
        path = path[: query.start()]
    pieces = re.split(r"([/;])", _ORACLE.sub(_HIDDEN, path))
    return "".join(_HIDDEN if _lets_in(_plain(piece)) else piece for piece in pieces)


def without_queries(message: str) -> str:
    """Return a message of another library without the queries of the addresses in it, where signatures are.

    Example:
        >>> without_queries("GET https://example.org/key?X-Amz-Signature=secret failed")
        'GET https://example.org/key?… failed'
    """
    return _QUERY_IN_TEXT.sub(f"?{_HIDDEN}", message)


def _lets_in(piece: str) -> bool:
    return ("=" in piece and _SECRET_NAME.search(piece) is not None) or _TOKEN.search(piece) is not None


def _plain(text: str) -> str:
    """Return what is written, however often it is encoded."""
    for _ in range(_ENCODINGS):
        if "%" not in text:
            break
        text = unquote(text)
    return text


def _host(scheme: str, authority: str, path: str) -> str:
    """Return an authority without a user."""
    plain = _plain(authority)
    user, at, host = plain.rpartition("@")
    if not at:
        return authority
    if scheme == "hf":  # an organisation has no revision, and a revision no port
        is_kept = ":" not in plain and "@" not in user + path and not _lets_in(user)
    elif scheme == "ollama":
        is_kept = host.startswith("sha256:") and "@" not in user
    else:
        is_kept = scheme in _WITH_CONTAINERS and ":" not in user and "@" not in user
    return authority if is_kept else host


def _is_host(host: str, authority: str, path: str) -> bool:
    """Tell whether an authority without a user is a host, and not a part of a password with a slash in it."""
    if "@" in path and ":" in _plain(authority):
        return host == authority and _PLAIN_HOST.fullmatch(host) is not None
    return _HOST.fullmatch(host) is not None
