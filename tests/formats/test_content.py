"""Other content under the name of a model is named, and no model is mistaken for it."""

import gzip
import pickle
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamiwaza_sdk import inspect_file
from kamiwaza_sdk.formats import MalformedFileException, NotTheModelException, UnknownFormatException
from kamiwaza_sdk.formats.content import (
    CONTENT_HEAD,
    FaultKind,
    is_html,
    is_model_file_name,
    reading_key,
    what_is_instead,
)
from tests.formats.making import inspect_bytes, safetensors_file
from tests.formats.test_gguf import head as gguf_head

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 4976698672\n"
PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in to continue</body></html>"
XML = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
)
AZURE = b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><Error><Code>BlobNotFound</Code></Error>'
JSON = b'{"error":"Repository not found"}'
ANNEX_KEY = b"SHA256E-s4976698672--" + b"ab" * 32 + b".safetensors"
WEIGHTS = (
    "model.safetensors",
    "pytorch_model.bin",
    "model.gguf",
    "model.onnx",
    "model.h5",
    "model.ckpt",
    "model.pt",
    "model.pkl",
    "model.npz",
)


def kind(data: bytes, path: str) -> FaultKind | None:
    found = what_is_instead(data[:CONTENT_HEAD], path=path, size=len(data))
    return None if found is None else found.kind


@pytest.mark.parametrize(
    ("data", "expected", "reason"),
    [
        (POINTER, "git_lfs_pointer", "a Git LFS pointer to 4,976,698,672 bytes: fetch the file itself"),
        (b"\xef\xbb\xbf" + POINTER, "git_lfs_pointer", "a Git LFS pointer to 4,976,698,672 bytes"),
        (POINTER.replace(b"size", b"x-a b\nsize"), "git_lfs_pointer", "a Git LFS pointer to 4,976,698,672 bytes"),
        (POINTER + b"x-a b\n", "git_lfs_pointer", "a Git LFS pointer to 4,976,698,672 bytes"),
        (
            b"/annex/objects/" + ANNEX_KEY + b"\n",
            "git_annex_pointer",
            "pointer to 4,976,698,672 bytes: .*git annex get",
        ),
        (b"../.git/annex/objects/pX/ZJ/" + ANNEX_KEY + b"/" + ANNEX_KEY, "git_annex_pointer", "4,976,698,672 bytes"),
        (b"/annex/objects/URL--http&c%%example.org", "git_annex_pointer", "a git-annex pointer: fetch"),
        (b"magnet:?xt=urn:btih:" + b"ab" * 20, "magnet_link", "a magnet link: .*BitTorrent"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(40), "image", r"an image \(PNG\)"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "document", r"a document \(PDF\)"),
        (PAGE, "html_page", r"an HTML page \('Sign in'\)"),
        (PAGE.decode().encode("utf-16"), "html_page", r"an HTML page \('Sign in'\)"),
        (PAGE.decode().encode("utf-16-be"), "html_page", r"an HTML page \('Sign in'\)"),
        (gzip.compress(PAGE, mtime=0), "html_page", r"an HTML page \('Sign in'\)"),
        (b"\n<!-- a -->\n<HTML lang=en>", "html_page", "an HTML page"),
        (XML, "error_answer", r"an error in XML \('AccessDenied'\)"),
        (AZURE, "error_answer", r"an error in XML \('BlobNotFound'\)"),
        (JSON, "error_answer", "an error in JSON .*Repository not found"),
        (b'{"message": "no", "status": 404}', "error_answer", "an error in JSON"),
        (b"Repository not found\n", "text", r"text where weights are expected \('Repository not found'\)"),
        (b"Entry not found", "text", "text where weights are expected"),
        (b'{"layers": 3}', "text", "JSON where weights are expected"),
    ],
)
@pytest.mark.parametrize("name", WEIGHTS)
def test_other_content_under_the_name_of_weights_is_named(
    data: bytes, expected: str, reason: str, name: str, tmp_path: Path
) -> None:
    with pytest.raises(NotTheModelException, match=reason) as caught:
        inspect_bytes(data, tmp_path / name)
    assert caught.value.kind == expected
    assert isinstance(caught.value, MalformedFileException)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.kind, again.path) == (str(caught.value), expected, caught.value.path)


@pytest.mark.parametrize("name", [name for name in WEIGHTS if name != "model.npz"])
def test_an_empty_archive_is_named(name: str, tmp_path: Path) -> None:
    empty = b"PK\x05\x06" + bytes(18)
    with pytest.raises(NotTheModelException, match="an empty archive") as caught:
        inspect_bytes(empty, tmp_path / name)
    assert caught.value.kind == "empty_archive"
    assert kind(empty, "model.npz") is None  # which NumPy writes for no arrays


def test_a_packed_pickle_is_no_page(tmp_path: Path) -> None:
    assert inspect_bytes(gzip.compress(pickle.dumps({"a": 1})), tmp_path / "model.pkl").format == "pickle"
    assert kind(b"\x1f\x8b\x08" + bytes(100), "model.pkl") is None


def test_pointers_are_recognised_under_any_name_up_to_their_largest_size() -> None:
    assert kind(b"/annex/objects/" + ANNEX_KEY + b"\n", "README.md") == "git_annex_pointer"
    assert kind(b"See /annex/objects/" + ANNEX_KEY, "README.md") is None
    assert kind(POINTER, "README.md") == kind(POINTER, "tokenizer.json") == kind(POINTER, "data.parquet")
    assert kind(POINTER + b" " * 1024, "README.md") is None
    assert kind(POINTER.replace(b"size", b"about"), "README.md") is None


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (PAGE, "index.html"),
        (PAGE, "README.md"),
        (b'<p align="center">A model</p>', "README.md"),
        (b"<s>\n</s>\n<unk>\n", "vocab.txt"),
        (b"{}", "config.json"),
        (b'{"model_type": "llama", "error": 1}', "config.json"),
        (b'{"type": "Roberta"}', "tokenizer.json"),
        (b"3 2\nthe 0.1 0.2\n", "vectors.bin"),
        (b"", "config.json"),
        (b"", "merges.txt"),
        (b"", "weights.bin"),
        (bytes(5000), "weights.bin"),
        (bytes(5000), "model.onnx_data"),
    ],
)
def test_content_that_a_name_allows_is_no_fault(data: bytes, path: str) -> None:
    assert kind(data, path) is None


@pytest.mark.parametrize("path", ["config.json", "tokenizer.model", "params.yaml"])
def test_pages_and_errors_are_faults_of_configurations(path: str) -> None:
    assert kind(PAGE, path) == "html_page"
    assert kind(JSON, path) == "error_answer"


@pytest.mark.parametrize("name", ["model.safetensors", "model.gguf", "model.pt", "array.npy"])
def test_no_bytes_and_zeros_are_faults_of_formats_with_a_magic_number(name: str) -> None:
    assert kind(b"", name) == "empty"
    assert kind(bytes(10_000), name) == "zeros"


@pytest.mark.parametrize(
    ("first", "reason"), [(b"GGML", "older GGML"), (b"tjgg", "older GGML"), (b"\x7fELF", "no GGUF")]
)
def test_a_gguf_file_with_another_magic_number_is_refused(first: bytes, reason: str, tmp_path: Path) -> None:
    whole = gguf_head()
    assert inspect_bytes(whole, tmp_path / "sound.gguf").format == "gguf"
    with pytest.raises(NotTheModelException, match=f"{reason}.*first four bytes are") as caught:
        inspect_bytes(first + whole[4:], tmp_path / "other.gguf")
    assert caught.value.kind == "wrong_magic_number"


def test_a_safetensors_file_with_the_name_of_gguf_is_read_as_safetensors(tmp_path: Path) -> None:
    assert inspect_bytes(safetensors_file({}), tmp_path / "model.gguf").format == "safetensors"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists), st.integers(0, 5))
def test_pickles_are_not_mistaken_for_texts(value: object, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    assert [kind(data, name) for name in ("model.pkl", "pytorch_model.bin", "model.pt")] == [None] * 3


def test_a_long_pickle_in_text_is_scanned(tmp_path: Path) -> None:
    data = b"(lp0\n" + b"I1\na" * 3000 + b"cos\nsystem\n(S'true'\ntRa."
    described = inspect_bytes(data, tmp_path / "pytorch_model.bin")
    assert described.format == "pickle"
    assert described.verdict == "dangerous"


def test_an_archive_behind_a_page_is_scanned(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(PAGE)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/data.pkl", b"cos\nsystem\n.")
    described = inspect_file(path)
    assert described.format == "pickle"
    assert described.verdict == "dangerous"


def test_a_text_with_another_name_has_no_format(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatException):
        inspect_bytes(b"Repository not found", tmp_path / "notes.md")


@given(st.binary(max_size=300), st.sampled_from([*WEIGHTS, "config.json", "README.md"]))
def test_any_bytes_get_an_answer(data: bytes, path: str) -> None:
    found = what_is_instead(data, path=path, size=len(data))
    assert found is None or found.reason.startswith("is ")
    assert is_html(data) in {True, False}


@given(st.text("ab./", max_size=8).map(lambda text: str(PurePosixPath(text.replace("b", "bin")))))
def test_endings_are_those_of_pathlib(path: str) -> None:
    assert is_model_file_name(path) == (PurePosixPath(path).suffix == ".bin")


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("a/model.bin", ".bin*"),
        ("a/vocab.bin", ".bin"),
        ("model.PKL.gz", ".pkl*.gz"),
        ("notes.txt", ""),
        pytest.param("notes" + 2000 * ".gz", 2000 * ".gz", id="packed 2,000 times"),
    ],
)
def test_names_with_the_same_key_are_read_alike(path: str, key: str) -> None:
    assert reading_key(path) == key
