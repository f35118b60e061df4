"""Recognises files that bear the name of a model and hold something else: a pointer, a web page, an error, a text.

Git LFS pointers: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md. git-annex pointers:
https://git-annex.branchable.com/internals/pointer_file/. Errors are those of Amazon S3
(https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html), of Azure, of Google, and of hubs.
"""

import codecs
import json
import pickletools
import re
import zlib
from pathlib import PurePosixPath
from typing import Final, Literal, NamedTuple, TypeAlias

from kamiwaza_sdk.formats.kinds import (
    PACKED_SUFFIXES,
    PICKLE_ENDINGS,
    detect,
    kind_of_head,
    named_format,
)
from kamiwaza_sdk.formats.layouts.names import suffix_of

FaultKind: TypeAlias = Literal[
    "git_lfs_pointer",
    "git_annex_pointer",
    "magnet_link",
    "html_page",
    "error_answer",
    "image",
    "document",
    "text",
    "empty",
    "empty_archive",
    "zeros",
    "wrong_magic_number",
]

#: The number of first bytes that `what_is_instead` needs at most.
CONTENT_HEAD: Final = 4096
#: The specification limits pointers to fewer bytes.
_LARGEST_POINTER: Final = 1024
#: A key and a value: of an extension (``ext-0-name``), or of a program that adds its own (``x-name``).
_POINTER_LINE: Final = rb"(?:[a-z0-9.-]+ [^\n]*\n)*"
_POINTER: Final = re.compile(
    rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/v\d+\r?\n"
    + _POINTER_LINE
    + rb"oid sha256:[0-9a-f]{64}\r?\n"
    + _POINTER_LINE
    + rb"size (\d{1,19})(?:\r?\n"
    + _POINTER_LINE
    + rb")?\s*"
)
#: git-annex reads no longer pointer.
_LARGEST_ANNEX_POINTER: Final = 32_768
#: The target of a symbolic link as text, or what git-annex writes instead; the key has a back end, fields and a name.
_ANNEX_POINTER: Final = re.compile(
    rb"(?:[^\n\0]{0,1000}\.git)?(?:/[^\n\0]{0,1000})?/annex/objects/(?:[^\n\0]{0,1000}/)?"
    rb"[A-Z0-9_]{1,40}((?:-[A-Za-z]\d{1,19})*)--[^/\n\0]{1,300}(?:\n|\Z)"
)
_ANNEX_SIZE: Final = re.compile(rb"-s(\d+)")
_MAGNET: Final = re.compile(rb"\s*magnet:\?", re.I)
_HTML: Final = re.compile(
    rb"\s*(?:<\?xml[^>]{0,200}\?>\s*)?(?:<!--.{0,2000}?-->\s*)*<(?:!doctype\s+html|html)[\s>]", re.I | re.S
)
#: The first element of a part of a page, where no text is expected at all.
_HTML_PART: Final = re.compile(rb"\s*<(?:head|body|title|meta|script|div|p|h1|center)[\s>]", re.I)
_XML: Final = re.compile(rb"\s*<\?xml|\s*<(?:Error|ErrorResponse)[\s>]")
_XML_ERROR: Final = re.compile(rb"<(?:\w+:)?Error(?:Response)?[\s>]")
_XML_CODE: Final = re.compile(rb"<(?:Code|code|Message|message)>([^<]{1,200})<")
#: The members that errors of hubs, of registries and of API gateways consist of.
_ERROR_MEMBERS: Final = frozenset(
    {"code", "detail", "details", "documentation_url", "error", "error_description", "errors", "message", "path"}
    | {"reason", "request_id", "requestId", "status", "statusCode", "success", "timestamp", "title", "type"}
)
#: An error has one of these.
_ERROR_MARKS: Final = frozenset({"detail", "error", "errors", "message"})
_MAGIC_NUMBERS: Final[tuple[tuple[bytes, FaultKind, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "image", "an image (PNG)"),
    (b"\xff\xd8\xff", "image", "an image (JPEG)"),
    (b"%PDF-", "document", "a document (PDF)"),
)
#: The end of a zip archive that counts no member.
_EMPTY_ZIP: Final = b"PK\x05\x06" + bytes(16)

#: Formats that begin with a magic number, or a length: no file of zeros alone, or without bytes, is one.
_MARKED: Final = frozenset(
    {".ckpt", ".gguf", ".h5", ".keras", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth", ".safetensors"}
)
#: Endings of files that are never texts. ``.onnx`` but not ``.pb``, for TensorFlow writes some graphs as texts.
_BINARY: Final = frozenset({*_MARKED, *PICKLE_ENDINGS, ".msgpack", ".onnx", ".onnx_data", ".tflite"})
_CONFIGURATIONS: Final = frozenset({".json", ".model", ".yaml", ".yml"})
_OLD_GGML: Final = frozenset({b"ggml", b"lmgg", b"ggjt", b"tjgg", b"ggla", b"algg", b"ggmf", b"fmgg", b"GGML"})
#: The instructions that take nothing off the stack, so that a pickle can begin with them.
_FIRST_INSTRUCTIONS: Final = frozenset(
    code.code.encode("latin-1") for code in pickletools.opcodes if not code.stack_before
)
_NEEDED_INSTRUCTIONS: Final = frozenset(b"ciPQ.\x82\x83\x84\x93")
_MOST_SHOWN: Final = 40


class ContentFault(NamedTuple):
    """The content of a file that is not what its name promises.

    Attributes:
        kind: Of the content.
        reason: The same for people to read, with the way out; begins with "is".
    """

    kind: FaultKind
    reason: str


def is_model_file_name(path: str) -> bool:
    """Return whether a name promises weights or a configuration, of which `what_is_instead` can say more."""
    return suffix_of(path) in _BINARY | _CONFIGURATIONS


def reading_key(path: str) -> str:
    """Return the part of a name that decides how a file is read: two files with the same part are read alike."""
    packed = ""
    while (suffix := suffix_of(path)) in PACKED_SUFFIXES:
        path, packed = path[: -len(suffix)], suffix + packed
    if is_model_file_name(path):
        return suffix + ("*" if _promises_weights(path) else "") + packed
    return ("" if named_format(path) is None else suffix) + packed


def is_html(head: bytes) -> bool:
    """Return whether a file that begins like this is a whole HTML page, and no text with some HTML in it."""
    return _HTML.match(_as_utf8(head)) is not None


def what_is_instead(head: bytes, *, path: str, size: int) -> ContentFault | None:
    r"""Return the content that a file has instead of what its name promises; `None` where they do not conflict.

    Pointers of Git LFS and of git-annex are recognised under any name, everything else only under the names of which
    `is_model_file_name` is true, and texts and zeros only under the names of weights: a file of zeros without a magic
    number can be weights.

    Args:
        head: The first bytes of the file: `CONTENT_HEAD` of them, or all.
        path: The name, whose ending counts.
        size: Of the whole file, in bytes.

    Example:
        >>> what_is_instead(b"<!DOCTYPE html><html>", path="model.safetensors", size=21).kind
        'html_page'
        >>> what_is_instead(b"GGUF\x03\0\0\0", path="model.gguf", size=4096) is None
        True
    """
    head = head[:CONTENT_HEAD]
    ending = suffix_of(path)
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
        or _other_content(head)
        or _text(head, path, whole=len(head) == size)
        or _wrong_magic_number(head, ending)
    )


def _without_mark(head: bytes) -> bytes:
    return head.removeprefix(codecs.BOM_UTF8)


def _as_utf8(head: bytes) -> bytes:
    """Return a text in UTF-8 without a byte order mark, also if it is in UTF-16 or packed by gzip."""
    if head.startswith(b"\x1f\x8b\x08"):
        try:
            head = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, CONTENT_HEAD)
        except zlib.error:
            return head
    for mark, first, encoding in (
        (codecs.BOM_UTF16_LE, b"<\0", "utf-16-le"),
        (codecs.BOM_UTF16_BE, b"\0<", "utf-16-be"),
    ):
        if head.startswith((mark, first)):
            return head.removeprefix(mark).decode(encoding, errors="replace").encode(errors="replace")
    return _without_mark(head)


def _pointer(head: bytes, size: int) -> ContentFault | None:
    if size < _LARGEST_POINTER and (lfs := _POINTER.fullmatch(_without_mark(head))) is not None:
        reason = f"is a Git LFS pointer to {int(lfs[1]):,} bytes: fetch the file itself, as `git lfs pull` does"
        return ContentFault("git_lfs_pointer", reason)
    if size > _LARGEST_ANNEX_POINTER or b"annex/objects/" not in head:
        return None
    annex = _ANNEX_POINTER.match(_without_mark(head).replace(b"\\", b"/"))
    if annex is None:
        return None
    size_field = _ANNEX_SIZE.search(annex[1])
    length = f" to {int(size_field[1]):,} bytes" if size_field else ""
    return ContentFault("git_annex_pointer", f"is a git-annex pointer{length}: fetch the file with `git annex get`")


def _page(head: bytes, *, parts: bool = False) -> ContentFault | None:
    text = _as_utf8(head)
    if not (_HTML.match(text) or (parts and _HTML_PART.match(text))):
        return None
    title = re.search(rb"<title[^>]*>([^<]{1,200})", text, re.IGNORECASE)
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
    """Return the message of an error, `None` of other JSON. A configuration has more members, or others."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict) or not answer or not _ERROR_MEMBERS.issuperset(answer):
        return None
    said = [answer[name] for name in ("error", "message", "detail", "errors") if name in answer]
    return _shown(json.dumps(said[0]).encode()) if said and _ERROR_MARKS.intersection(answer) else None


def _nothing(head: bytes, ending: str, size: int) -> ContentFault | None:
    if ending != ".npz" and head.startswith(_EMPTY_ZIP):  # NumPy saves no arrays as an empty archive
        return ContentFault("empty_archive", "is an empty archive (zip): fetch it again")
    if ending not in _MARKED:
        return None
    if size == 0:
        return ContentFault("empty", "is empty: fetch it again")
    if not any(head):
        many = "all its bytes" if len(head) == size else f"its first {len(head):,} bytes"
        return ContentFault("zeros", f"is not written: {many} are zero; fetch it again")
    return None


def _other_content(head: bytes) -> ContentFault | None:
    for magic_number, kind, name in _MAGIC_NUMBERS:
        if head.startswith(magic_number):
            return ContentFault(kind, f"is {name}: fetch the file itself")
    if _MAGNET.match(_without_mark(head)):
        return ContentFault("magnet_link", "is a magnet link: fetch the file itself, with a BitTorrent client")
    return None


def _text(head: bytes, path: str, *, whole: bool) -> ContentFault | None:
    ending = suffix_of(path)
    text = _decoded(head, whole=whole)
    if not _promises_weights(path):
        return None
    if text is None or (ending in PICKLE_ENDINGS and _may_be_pickle(head, whole=whole)):
        return None
    kind = "JSON" if text.lstrip()[:1] in {"{", "["} else "text"
    if kind == "text" and len(text.split()) == 1:  # one word can be a key, or a placeholder
        return None
    return ContentFault("text", f"is {kind} where weights are expected ({_shown(head)}): fetch the file itself")


def _promises_weights(path: str) -> bool:
    """Return whether a name is one of weights only: vocabularies are called ``.bin``, too."""
    return suffix_of(path) != ".bin" or "model" in PurePosixPath(path).name.lower()


def _decoded(head: bytes, *, whole: bool) -> str | None:
    """Return bytes as the text that they are; `None` where they are none."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError:
        return None
    is_text = bool(text.strip()) and all(letter.isprintable() or letter in "\t\n\r\f\ufeff" for letter in text)
    return text if is_text else None


def _may_be_pickle(text: bytes, *, whole: bool) -> bool:
    """Return whether the oldest protocol of pickle, which is text too, could have written this.

    Not where the first byte is no instruction, nor where no instruction imports, loads an object, or ends a pickle.
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
    """Return the beginning of a text from outside, escaped."""
    line = " ".join(text.decode(errors="replace").split())
    return ascii(line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}...")
