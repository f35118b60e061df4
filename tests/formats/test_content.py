"""What is found under the name of a model instead of it is named, and nothing else is taken for it."""

import pickle
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamiwaza_sdk import MalformedFileException, NotTheModelException, UnknownFormatException, inspect_file
from kamiwaza_sdk.formats.content import CONTENT_HEAD, FaultKind, is_html, is_model_file_name, what_is_instead
from tests.formats.making import inspect_bytes, safetensors_file
from tests.formats.test_gguf import head as gguf_head

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 4976698672\n"
PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in to continue</body></html>"
XML = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
)
AZURE = b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><Error><Code>BlobNotFound</Code></Error>'
JSON = b'{"error":"Repository not found"}'
WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.gguf", "model.onnx", "model.pt", "model.pkl", "model.npz")


def kind(data: bytes, path: str) -> FaultKind | None:
    found = what_is_instead(data[:CONTENT_HEAD], path=path, size=len(data))
    return None if found is None else found.kind


@pytest.mark.parametrize(
    ("data", "expected", "reason"),
    [
        (POINTER, "git_lfs_pointer", "a Git LFS pointer to 4,976,698,672 bytes: fetch the file itself"),
        (PAGE, "html_page", r"an HTML page \('Sign in'\)"),
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
def test_what_is_under_the_name_of_weights_is_said_by_name(
    data: bytes, expected: str, reason: str, name: str, tmp_path: Path
) -> None:
    with pytest.raises(NotTheModelException, match=reason) as caught:
        inspect_bytes(data, tmp_path / name)
    assert caught.value.kind == expected
    assert isinstance(caught.value, MalformedFileException)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.kind, again.path) == (str(caught.value), expected, caught.value.path)


def test_a_pointer_is_one_under_any_name_and_nothing_longer_is_one() -> None:
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
def test_what_can_be_under_a_name_is_no_fault(data: bytes, path: str) -> None:
    assert kind(data, path) is None


@pytest.mark.parametrize("path", ["config.json", "tokenizer.model", "params.yaml"])
def test_a_page_or_an_error_is_no_configuration(path: str) -> None:
    assert kind(PAGE, path) == "html_page"
    assert kind(JSON, path) == "error_answer"


@pytest.mark.parametrize("name", ["model.safetensors", "model.gguf", "model.pt", "array.npy"])
def test_nothing_and_zeros_are_faults_where_a_format_begins_with_something(name: str) -> None:
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


def test_what_a_file_of_another_name_is_stays_what_it_is(tmp_path: Path) -> None:
    assert inspect_bytes(safetensors_file({}), tmp_path / "model.gguf").format == "safetensors"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists), st.integers(0, 5))
def test_no_pickle_is_taken_for_a_text(value: object, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    assert [kind(data, name) for name in ("model.pkl", "pytorch_model.bin", "model.pt")] == [None] * 3


def test_a_pickle_in_text_is_looked_through_however_long_it_is(tmp_path: Path) -> None:
    data = b"(lp0\n" + b"I1\na" * 3000 + b"cos\nsystem\n(S'true'\ntRa."
    described = inspect_bytes(data, tmp_path / "pytorch_model.bin")
    assert described.format == "pickle"
    assert described.verdict == "dangerous"


def test_an_archive_behind_a_page_is_looked_through(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(PAGE)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/data.pkl", b"cos\nsystem\n.")
    described = inspect_file(path)
    assert described.format == "pickle"
    assert described.verdict == "dangerous"


def test_a_text_whose_name_promises_nothing_is_of_no_format(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatException):
        inspect_bytes(b"Repository not found", tmp_path / "notes.md")


@given(st.binary(max_size=300), st.sampled_from([*WEIGHTS, "config.json", "README.md"]))
def test_whatever_the_bytes_are_there_is_an_answer(data: bytes, path: str) -> None:
    found = what_is_instead(data, path=path, size=len(data))
    assert found is None or found.reason.startswith("is ")
    assert is_html(data) in {True, False}


@given(st.text("ab./", max_size=8).map(lambda text: str(PurePosixPath(text.replace("b", "bin")))))
def test_a_names_ending_is_what_pathlib_takes_for_one(path: str) -> None:
    assert is_model_file_name(path) == (PurePosixPath(path).suffix == ".bin")
