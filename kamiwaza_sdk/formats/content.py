"""Recognises what is often found under the name of a model instead of it: a pointer, a web page, an error, a text.

A Git LFS pointer is specified in https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md. Errors are those of Amazon
S3 (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html), of Azure, of Google, and of hubs.
"""

import codecs
import json
import pickletools
import re
from pathlib import PurePosixPath
from typing import Final, Literal, NamedTuple, TypeAlias

from kamiwaza_sdk.formats.kinds import PICKLE_ENDINGS, detect, kind_by_name, kind_of_head

FaultKind: TypeAlias = Literal[
    "git_lfs_pointer", "html_page", "error_answer", "text", "empty", "zeros", "wrong_magic_number"
]

#: How many first bytes are looked at; more are never needed.
CONTENT_HEAD: Final = 4096
#: The specification has pointers shorter than this.
_LARGEST_POINTER: Final = 1024
_POINTER: Final = re.compile(
    rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/v\d+\r?\n"
    rb"(?:ext-\d[^\n]*\n)*oid sha256:([0-9a-f]{64})\r?\nsize (\d{1,19})\s*"
)
_HTML: Final = re.compile(
    rb"\s*(?:<\?xml[^>]{0,200}\?>\s*)?(?:<!--.{0,2000}?-->\s*)*<(?:!doctype\s+html|html)[\s>]", re.I | re.S
)
#: What only a page begins with where no text is expected at all.
_HTML_PART: Final = re.compile(rb"\s*<(?:head|body|title|meta|script|div|p|h1|center)[\s>]", re.I)
_XML: Final = re.compile(rb"\s*<\?xml|\s*<(?:Error|ErrorResponse)[\s>]")
_XML_ERROR: Final = re.compile(rb"<(?:\w+:)?Error(?:Response)?[\s>]")
_XML_CODE: Final = re.compile(rb"<(?:Code|code|Message|message)>([^<]{1,200})<")
#: The members that errors of hubs, of registries and of API gateways consist of.
_ERROR_MEMBERS: Final = frozenset(
    {"code", "detail", "details", "documentation_url", "error", "error_description", "errors", "message", "path"}
    | {"reason", "request_id", "requestId", "status", "statusCode", "success", "timestamp", "title", "type"}
)
#: One of these must be there for it to be an error.
_ERROR_MARKS: Final = frozenset({"detail", "error", "errors", "message"})

#: Formats that begin with a number that tells them apart, or a length: no file of zeros alone, or of no bytes, is one.
_MARKED: Final = frozenset(
    {".ckpt", ".gguf", ".h5", ".keras", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth", ".safetensors"}
)
#: What else is never a text. Not ``.onnx`` and ``.pb`` alone: TensorFlow's graphs are texts at times.
_BINARY: Final = frozenset({*_MARKED, *PICKLE_ENDINGS, ".msgpack", ".onnx", ".onnx_data", ".tflite"})
_CONFIGURATIONS: Final = frozenset({".json", ".model", ".yaml", ".yml"})
_PROMISING: Final = _BINARY | _CONFIGURATIONS
_OLD_GGML: Final = frozenset({b"ggml", b"lmgg", b"ggjt", b"tjgg", b"ggla", b"algg", b"ggmf", b"fmgg", b"GGML"})
#: The instructions that need nothing on the stack, so that a pickle can begin with them.
_FIRST_INSTRUCTIONS: Final = frozenset(
    code.code.encode("latin-1") for code in pickletools.opcodes if not code.stack_before
)
_NEEDED_INSTRUCTIONS: Final = frozenset(b"ciPQ.\x82\x83\x84\x93")
_SHOWN: Final = 40


class ContentFault(NamedTuple):
    """What is found instead of a model.

    Attributes:
        kind: What it is.
        reason: The same for people to read, with the way out; begins with "is".
    """

    kind: FaultKind
    reason: str


def is_model_file_name(path: str) -> bool:
    """Return whether a name promises weights or a configuration, of which `what_is_instead` can say more."""
    return _ending(path) in _PROMISING


def name_kind(path: str) -> str:
    """Return what of a name makes a difference to what a file is taken for: two names with one kind are read alike."""
    if not is_model_file_name(path):
        return kind_by_name(path)
    return _ending(path) + ("*" if _promises_weights(path) else "")


def is_html(head: bytes) -> bool:
    """Return whether a file that begins like this is a whole HTML page, and no text with some HTML in it."""
    return _HTML.match(_without_mark(head)) is not None


def what_is_instead(head: bytes, *, path: str, size: int) -> ContentFault | None:
    r"""Return what a file is instead of what its name promises, `None` where nothing speaks against it.

    A Git LFS pointer is one under any name. Everything else is looked for only where `is_model_file_name`, and text
    and zeros only under the names of weights: a file of zeros without a magic number can be weights.

    Args:
        head: Its first bytes: `CONTENT_HEAD` of them, or all.
        path: Its name, whose ending counts.
        size: Of the whole file, in bytes.

    Example:
        >>> what_is_instead(b"<!DOCTYPE html><html>", path="model.safetensors", size=21).kind
        'html_page'
        >>> what_is_instead(b"GGUF\x03\0\0\0", path="model.gguf", size=4096) is None
        True
    """
    head = head[:CONTENT_HEAD]
    ending = _ending(path)
    if (pointer := _pointer(head, size)) is not None:
        return pointer
    if ending in _CONFIGURATIONS:
        return _page(head) or _error(head, whole=len(head) == size)
    if ending not in _BINARY:
        return None
    return (
        _nothing(head, ending, size)
        or _page(head, parts=True)
        or _error(head, whole=len(head) == size)
        or _text(head, path, whole=len(head) == size)
        or _wrong_magic_number(head, ending)
    )


def _ending(path: str) -> str:
    name = path.rstrip("/").rpartition("/")[2]  # as `PurePosixPath.suffix`, which takes ten times as long
    dot = name.rfind(".")
    return name[dot:].lower() if 0 < dot < len(name) - 1 else ""


def _without_mark(head: bytes) -> bytes:
    return head.removeprefix(codecs.BOM_UTF8)


def _pointer(head: bytes, size: int) -> ContentFault | None:
    match = _POINTER.fullmatch(head) if size < _LARGEST_POINTER else None
    if match is None:
        return None
    reason = f"is a Git LFS pointer to {int(match[2]):,} bytes: fetch the file itself, as `git lfs pull` does"
    return ContentFault("git_lfs_pointer", reason)


def _page(head: bytes, *, parts: bool = False) -> ContentFault | None:
    if not (is_html(head) or (parts and _HTML_PART.match(_without_mark(head)))):
        return None
    title = re.search(rb"<title[^>]*>([^<]{1,200})", head, re.IGNORECASE)
    named = f" ({_shown(title[1])})" if title else ""
    reason = f"is an HTML page{named}: fetch the file's own address, signed in where that is needed"
    return ContentFault("html_page", reason)


def _error(head: bytes, *, whole: bool) -> ContentFault | None:
    text = _without_mark(head).lstrip()
    if _XML.match(text) and _XML_ERROR.search(text):
        code = _XML_CODE.search(text)
        named = f" ({_shown(code[1])})" if code else ""
        return ContentFault("error_answer", f"is an error in XML{named}, as object storage answers: fetch it again")
    if text.startswith(b"{") and whole and (message := _json_error(text)) is not None:
        return ContentFault("error_answer", f"is an error in JSON ({message}), as a server answers: fetch it again")
    return None


def _json_error(text: bytes) -> str | None:
    """Return what an error says, `None` where it is none. A configuration has more members, or others."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict) or not answer or not _ERROR_MEMBERS.issuperset(answer):
        return None
    said = [answer[name] for name in ("error", "message", "detail", "errors") if name in answer]
    return _shown(json.dumps(said[0]).encode()) if said and _ERROR_MARKS.intersection(answer) else None


def _nothing(head: bytes, ending: str, size: int) -> ContentFault | None:
    if ending not in _MARKED:
        return None
    if size == 0:
        return ContentFault("empty", "is empty: fetch it again")
    if not any(head):
        many = "all its bytes" if len(head) == size else f"its first {len(head):,} bytes"
        return ContentFault("zeros", f"is not written: {many} are zero; fetch it again")
    return None


def _text(head: bytes, path: str, *, whole: bool) -> ContentFault | None:
    ending = _ending(path)
    text = _decoded(head, whole=whole)
    if not _promises_weights(path):
        return None
    if text is None or (ending in PICKLE_ENDINGS and _may_be_pickle(head, whole=whole)):
        return None
    kind = "JSON" if text.lstrip()[:1] in {"{", "["} else "text"
    if kind == "text" and len(text.split()) == 1:  # one word is too little to tell it from a key, or a placeholder
        return None
    return ContentFault("text", f"is {kind} where weights are expected ({_shown(head)}): fetch the file itself")


def _promises_weights(path: str) -> bool:
    """Return whether a name can be one of weights only: vocabularies are called ``.bin``, too."""
    return _ending(path) != ".bin" or "model" in PurePosixPath(path).name.lower()


def _decoded(head: bytes, *, whole: bool) -> str | None:
    """Return the text that the bytes are, `None` where they are none."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError:
        return None
    is_text = bool(text.strip()) and all(letter.isprintable() or letter in "\t\n\r\f\ufeff" for letter in text)
    return text if is_text else None


def _may_be_pickle(text: bytes, *, whole: bool) -> bool:
    """Return whether the oldest protocol of pickle, which is text too, could have written this.

    Not where the first byte is no instruction, nor where none could import, call for an object, or end a pickle.
    """
    return text[:1] in _FIRST_INSTRUCTIONS and not (whole and _NEEDED_INSTRUCTIONS.isdisjoint(text))


def _wrong_magic_number(head: bytes, ending: str) -> ContentFault | None:
    if ending != ".gguf" or detect(head, "") is not None:
        return None
    first = head[:4]
    kind = kind_of_head(head)
    what = (
        "the older GGML, which is read no more: convert it again"
        if first in _OLD_GGML
        else f"{'no GGUF' if kind is None else f'{kind.name}, no GGUF'}: fetch it again"
    )
    return ContentFault("wrong_magic_number", f"is {what}; its first four bytes are {first!r}, not b'GGUF'")


def _shown(text: bytes) -> str:
    """Return the beginning of a stranger's text, escaped."""
    line = " ".join(text.decode(errors="replace").split())
    return ascii(line if len(line) <= _SHOWN else f"{line[:_SHOWN]}...")
