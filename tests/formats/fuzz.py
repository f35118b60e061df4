"""Fuzzes the readers, guided by coverage, for a given time: ``nox -s fuzz -- -max_total_time=600``.

Anything but a description or a typed error ends it, with the input in a file.
"""

import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]  # installed for this alone

with atheris.instrument_imports(include=["kamiwaza_sdk.formats"]):
    from kamiwaza_sdk.formats import FormatException, inspection

ENDINGS = ["", ".safetensors", ".gguf", ".onnx", ".bin", ".pt", ".pkl", ".npy"]


def main() -> None:
    """Fuzz until told to stop."""
    with TemporaryDirectory() as directory:

        def feed(data: bytes) -> None:
            path = Path(directory, f"any{ENDINGS[data[0] % len(ENDINGS)] if data else ''}")
            path.write_bytes(data[1:])
            with suppress(FormatException):
                inspection.inspect_file(path).model_dump_json()

        atheris.Setup([*sys.argv, "-max_len=4096", "-rss_limit_mb=1024", "-timeout=10"], feed)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
