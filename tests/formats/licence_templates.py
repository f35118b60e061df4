"""Writes ``kamiwaza_sdk/formats/licences.json``: the words of each known licence, as digests.

    npm pack spdx-license-list@6.12.0 && tar xzf spdx-license-list-6.12.0.tgz
    pip download --no-deps --no-binary :all: scancode-toolkit==32.5.0 && tar xzf scancode_toolkit-32.5.0.tar.gz
    python -m tests.formats.licence_templates package scancode_toolkit-32.5.0 [--check]

SPDX's own list comes from the first, the licences of models that it lacks from the second. Llama 3 is in neither: its
text is ``LICENSE`` of https://github.com/meta-llama/llama3, and without ``--llama-3 LICENSE`` its digests stay as they
are. ``--check`` writes nothing, and fails if the file would change.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kamiwaza_sdk.formats.licences import TITLE_WORDS, digest_of, title_length, without_notices, words_of

DATA: Final = Path(__file__).parents[2] / "kamiwaza_sdk/formats/licences.json"
SOURCES: Final = "spdx-license-list 6.12.0 (npm), scancode-toolkit 32.5.0 (PyPI), meta-llama/llama3 LICENSE"
#: What only Hugging Face names, by the names that ScanCode has for the texts.
OF_MODELS: Final = {
    "llama-2-license-2023": ("llama2", "llama 2 community version release date july 18 2023"),
    "llama-3.1-license-2024": ("llama3.1", "llama 3 1 community"),
    "llama-3.2-license-2024": ("llama3.2", "llama 3 2 community"),
    "llama-3.3-license-2024": ("llama3.3", "llama 3 3 community"),
    "llama-4-cla-2025": ("llama4", "llama 4 community"),
    "gemma-tou-2024-04-01": ("gemma", "gemma terms of use"),
    "gemma-tou-2025-03-24": ("gemma", "gemma terms of use"),
    "bigscience-rail-1.0": ("bigscience-bloom-rail-1.0", "bigscience rail v1 0"),
    "bigscience-open-rail-m": ("bigscience-openrail-m", "bigscience open rail m"),
    "bigscience-open-rail-m2": ("openrail++", "creativeml open rail m"),
    "bigcode-open-rail-m-v1": ("bigcode-openrail-m", "bigcode open rail m v1"),
    "stable-diffusion-2022-08-22": ("creativeml-openrail-m", "creativeml open rail m"),
}
#: Names that Hugging Face writes otherwise than SPDX in lower case.
RENAMED: Final = {"lgpllr": "lgpl-lr", "odbl-1.0": "odbl", "odc-by-1.0": "odc-by", "pddl-1.0": "pddl"}
#: Texts that SPDX lists under several names, some of which say what no text tells.
UNTOLD: Final = re.compile(
    r"(?:-only|-or-later|\+|-no-invariants(?:-only|-or-later)?|-invariants(?:-only|-or-later)?|-no-copyleft-exception"
    r"|-(?:no-)?RFN|-Combined-Work-Exception)$"
)
GAP: Final = "qqfilledinqq"
OPEN: Final = "qqopenqq"
CLOSE: Final = "qqcloseqq"
PLACEHOLDER: Final = re.compile(
    r"<(?!\s*(?:https?:|www\.|[\w.]+@))[^<>]{2,120}>|\[[^\[\]\n]{2,80}\]|\{[^{}\n]{2,60}\}|_{4,}"
)
#: Holders and the like that stand in the midst of texts.
HOLDERS: Final = (
    (r"\bprovided by (?:the )?[a-z0-9 ]{2,60}? as is and any\b", f"provided by {GAP} as is and any"),
    (r"\bin no event shall (?:the )?[a-z0-9 ]{2,90}? be (liable|held)\b", rf"in no event shall {GAP} be \1"),
    (r"\bas is and (?:the )?[a-z0-9 ]{2,40}? disclaims? all warranties\b", f"as is and {GAP} disclaims all warranties"),
    (
        r"\bneither the (names?) of [a-z0-9 ]{2,90}? nor the names of (?:its|their) contributors may\b",
        rf"neither the \1 of {GAP} nor the names of {GAP} contributors may",
    ),
    (
        r"\bone line to give the (?:programs|librarys) name and (?:a brief|an) idea of what it does"
        r"(?: copyright (?:yyyy|19yy|year) (?:name of author)?)?",
        f"{GAP} {GAP}",
    ),
    (r"\brequirements of sections 3 1 3 2 3 3 3 4 and 3 5 have\b", f"requirements of {GAP} have"),
    (r"\bsee www gnu org (?:copyleft|licenses) each version\b", f"see {GAP} each version"),
)
#: What some copies of a text have in its midst and others lack.
OPTIONAL: Final = (
    (r"\b(follow) (terms and conditions for copying)", rf"\1 {OPEN} gnu general public license {CLOSE} \2"),
    (r"\b(follow) (terms and conditions for copying)", rf"\1 {OPEN} gnu library general public license {CLOSE} \2"),
    (r"\b(follow) (terms and conditions for copying)", rf"\1 {OPEN} gnu lesser general public license {CLOSE} \2"),
    *(
        (
            r"\b(ty coon president of vice)(?! this)",
            rf"\1 {OPEN} this general public license does not permit incorporating your program into "
            "proprietary programs if your program is a subroutine library you may consider it more useful "
            "to permit linking proprietary "
            f"applications with the library if this is what you want to do use the gnu {which} general public license "
            f"instead of this license {CLOSE}",
        )
        for which in ("lesser", "library")
    ),
    (r"^(.{0,120}?) ?\b(everyone is permitted to copy)", rf"\1 {OPEN} fsf org {CLOSE} \2"),
)
#: Where what may be left out begins (the end is the text's), or ends (the beginning is).
TAILS: Final = (
    "end of terms and conditions",
    "exhibit a source code form license notice",
    "creative commons is not a party to its public licenses",
    "creative commons notice creative commons is not a party to this license",
    "creative commons may be contacted at creativecommons org",
    "gnu general public license version 3 29 june 2007",
    "meta llama 3 acceptable use policy meta is committed",
)
HEADS: Final = ("by exercising the licensed rights defined below you accept",)


def entries(spdx: Path, scancode: Path, llama_3: Path | None) -> Iterator[tuple[str, str, str]]:
    """Yield name, title and text of every licence, what few names share first."""
    for path in sorted((spdx / "licenses").glob("*.json"), key=lambda path: (len(path.name), path.name.lower())):
        licence = json.loads(path.read_text())
        name = UNTOLD.sub("", path.stem)
        title = f"{licence['name']} {path.stem.replace('-', ' ')}"
        yield name.lower(), " ".join(words_of(title)), licence["licenseText"]
    folder = next(scancode.rglob("licensedcode/data/licenses"))
    for file, (name, title) in OF_MODELS.items():
        yield name, title, (folder / f"{file}.LICENSE").read_text().split("---", 2)[2]
    if llama_3 is not None:
        yield "llama3", "meta llama 3 community", llama_3.read_text()


def parts_of(text: str, title: frozenset[str]) -> list[object]:
    """Return the parts of a template, as the data file holds them."""
    words = words_of(PLACEHOLDER.sub(f" {GAP} ", "\n".join(without_notices(text))))
    flowing = " ".join(words[title_length(words, title) :])
    for pattern, filled in (*HOLDERS, *OPTIONAL):
        flowing = re.sub(pattern, filled, flowing)
    head = next((found for mark in HEADS if (found := flowing.find(mark)) > 0), 0)
    tail = min((found for mark in TAILS if (found := flowing.find(mark, head)) > 0), default=len(flowing))
    parts: list[object] = [_runs(flowing[:head])] if head else []
    parts += _runs(flowing[head:tail])
    ending = flowing[tail:]
    if ending.startswith(TAILS[0]):
        parts.append(_runs(TAILS[0]))
        ending = ending[len(TAILS[0]) :]
    return [*parts, _runs(ending)] if ending.strip() else parts


def _runs(flowing: str) -> list[object]:
    runs: list[object] = []
    for piece in re.split(f"({GAP}|{OPEN}.*?{CLOSE})", flowing):
        if piece == GAP:
            runs.append(None)
        elif piece.startswith(OPEN):
            runs.append(_runs(piece.removeprefix(OPEN).removesuffix(CLOSE)))
        elif words := piece.split():
            runs.append([len(words), digest_of(words)])
    return runs


def content(spdx: Path, scancode: Path, llama_3: Path | None = None) -> str:
    """Return what the data file is to hold."""
    made = dict[str, tuple[str, str, list[object]]]()
    for name, title, text in entries(spdx, scancode, llama_3):
        parts = parts_of(text, TITLE_WORDS | set(title.split()))
        made.setdefault(json.dumps(parts), (RENAMED.get(name, name), title, parts))
    kept = json.loads(DATA.read_text())["licences"] if llama_3 is None else []
    rest = [tuple(entry) for entry in kept if entry[0] == "llama3"]
    lines = [json.dumps(entry, separators=(",", ":")) for entry in sorted([*made.values(), *rest], key=str)]
    return f'{{"sources": {json.dumps(SOURCES)}, "licences": [\n' + ",\n".join(lines) + "\n]}\n"


def main() -> None:
    """Write the data file, or check it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("spdx", type=Path)
    parser.add_argument("scancode", type=Path)
    parser.add_argument("--llama-3", type=Path)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    made = content(asked.spdx, asked.scancode, asked.llama_3)
    if not asked.check:
        DATA.write_text(made)
    elif made != DATA.read_text():
        sys.exit(f"{DATA} is not what its sources say; run this again without --check")


if __name__ == "__main__":
    main()
