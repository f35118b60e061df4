"""Licences: a text is recognised as a whole, in any layout; several licences are one expression."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import Final

import pytest

from kamiwaza_sdk.formats import describe_repository
from kamiwaza_sdk.formats.licences import LONGEST, all_of, is_licence_file, joined, recognise_licence
from kamiwaza_sdk.formats.repository import DESCRIBING_FILES, describing_files, read_describing
from tests.formats import licence_templates

COMMON: Final = Path("/usr/share/common-licenses")
EXPECTED: Final = {
    "Apache-2.0": "apache-2.0",
    "Artistic": "artistic-1.0-perl",
    "BSD": "bsd-3-clause",
    "CC0-1.0": "cc0-1.0",
    "GFDL": "gfdl-1.3",
    "GFDL-1.2": "gfdl-1.2",
    "GFDL-1.3": "gfdl-1.3",
    "GPL": "gpl-3.0",
    "GPL-1": "gpl-1.0",
    "GPL-2": "gpl-2.0",
    "GPL-3": "gpl-3.0",
    "LGPL": "lgpl-3.0",
    "LGPL-2": "lgpl-2.0",
    "LGPL-2.1": "lgpl-2.1",
    "LGPL-3": "lgpl-3.0",
    "MPL-1.1": "mpl-1.1",
    "MPL-2.0": "mpl-2.0",
}
APACHE: Final = (Path(__file__).parents[2] / "LICENSE").read_text()
COMMONS_CLAUSE: Final = """
"Commons Clause" License Condition v1.0

The Software is provided to you by the Licensor under the License, as defined below, subject to the following condition.
Without limiting other conditions in the License, the grant of rights under the License will not include, and the
License does not grant to you, the right to Sell the Software.
"""
#: How classifiers name what SPDX does.
CLASSIFIERS: Final = {
    "MIT License": "mit",
    "Apache Software License": "apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "mpl-2.0",
    "BSD License": "bsd",
    "ISC License (ISCL)": "isc",
}
#: Files of packages with other licences than the package's own: of what they bring along.
BROUGHT_ALONG: Final = {
    ("ml_dtypes", "mpl-2.0"),
    ("pyzmq", "apache-2.0"),
    ("pyzmq", "mpl-2.0"),
    ("forbiddenfruit", "gpl-3.0"),
}


def licence_of(package: str, name: str = "LICENSE") -> str:
    """Return the text of a package's licence."""
    files = distribution(package).files or []
    return next(Path(str(file.locate())) for file in files if file.name == name).read_text()


MIT: Final = licence_of("pytest")
BSD: Final = licence_of("flask", "LICENSE.txt")


@pytest.mark.parametrize("name", EXPECTED)
def test_every_text_that_debian_ships_is_known(name: str) -> None:
    if not (COMMON / name).is_file():
        if os.environ.get("CI") == "true" and COMMON.is_dir() and name == "GPL-3":
            pytest.fail(f"{COMMON} lacks {name}")
        pytest.skip(f"{COMMON / name} is Debian's")
    assert recognise_licence((COMMON / name).read_text(errors="replace")) == EXPECTED[name]


def stated(package: Distribution) -> set[str]:
    """Return the licences that a package's metadata states, in lower case; none where it states none."""
    meta = package.metadata
    if "License-Expression" in meta:
        expression = meta["License-Expression"]
        names = set(re.findall(r"[\w.+-]+", expression.lower())) - {"and", "or", "with"}
        return {re.sub(r"-(?:only|or-later)$", "", name) for name in names}
    classifiers = [
        one.rpartition(" :: ")[2] for one in meta.get_all("Classifier") or [] if one.startswith("License ::")
    ]
    return {CLASSIFIERS[one] for one in classifiers if one in CLASSIFIERS}


def test_licences_of_packages_match_their_metadata() -> None:
    read, known, wrong = 0, 0, []
    for package in distributions():
        for file in package.files or []:
            if (
                ".dist-info/" not in str(file)
                or "_vendor" in file.parts  # of what pip brings along
                or not is_licence_file(file.name)
                or not Path(str(file.locate())).is_file()
            ):
                continue
            read += 1
            found = recognise_licence(Path(str(file.locate())).read_text(errors="replace"))
            name, states = package.metadata["Name"], stated(package)
            known += found is not None
            fits = found is None or not states or any(found.startswith(one) for one in states)
            if not fits and (name, found) not in BROUGHT_ALONG:
                wrong.append((name, str(file), found, states))
    assert wrong == []
    assert read > 60
    assert known > 0.6 * read


@pytest.mark.parametrize(
    "changed",
    [
        " ".join(MIT.split()),
        MIT.replace("\n", "\r\n"),
        MIT.upper().replace("COPYRIGHT (C)", "Copyright (c)"),
        MIT.replace('"', "\u201c").replace("'", "\u2019"),
        "\n".join(f"# {line}" for line in MIT.splitlines()),
        "\n".join(f"   {line}" for line in MIT.splitlines()),
        MIT.replace("The MIT License (MIT)", ""),
        MIT.replace("The MIT License (MIT)", "MIT License"),
        re.sub("Copyright.*", "Copyright (c) 2011-2026 A. Person <a@example.org>\nCopyright 2012, Foo Inc.", MIT),
        MIT.replace("AUTHORS OR COPYRIGHT HOLDERS", "FOUNDATION"),
    ],
    ids=["one line", "windows", "capitals", "quotes", "comments", "indented", "no title", "title", "holders", "named"],
)
def test_layout_of_a_text_does_not_count(changed: str) -> None:
    assert changed != MIT
    assert recognise_licence(changed) == "mit"


@pytest.mark.parametrize(
    "changed",
    [
        MIT + COMMONS_CLAUSE,
        COMMONS_CLAUSE + MIT,
        MIT.replace("without restriction, ", "").replace("without restriction", ""),
        MIT.replace("Permission is hereby", "For research only. Permission is hereby"),
        re.sub("(Copyright.*)", r"\1. Commercial use is not permitted.", MIT),
        re.sub("(Copyright.*)", r"\1, not for commercial use", MIT),
        re.sub("(Copyright.*)", r"\1\n2026 and later: may not be sold", MIT),
        MIT + "\nThis does not hold for Foo Inc.\n",
        MIT + MIT,
        MIT[: len(MIT) // 2],
        "MIT License",
        "This model is under the Apache License, Version 2.0, January 2004.",
        f"My licence.\n\nYou may do what the Apache License says, which is:\n\n{APACHE}\n\nBut not on Sundays.",
        "META LLAMA 3 COMMUNITY LICENSE AGREEMENT",
        "Redistribution and use in source and binary forms. Neither the name of anybody.",
        "",
    ],
)
def test_a_text_with_more_or_less_than_the_licence_is_unknown(changed: str) -> None:
    assert recognise_licence(changed) is None


def test_a_text_of_several_licences_is_unknown() -> None:
    assert recognise_licence(licence_of("numpy", "LICENSE.txt")) is None


def test_only_names_and_holders_may_be_filled_in() -> None:
    assert (
        recognise_licence(BSD.replace("the copyright holder nor", "the Regents of the University of X nor"))
        == "bsd-3-clause"
    )
    assert recognise_licence(BSD.replace("the copyright holder nor", f"{'a name of many words ' * 9} nor")) is None


def test_our_own_licence_is_known_with_and_without_its_appendix() -> None:
    assert recognise_licence(APACHE) == "apache-2.0"
    assert recognise_licence(APACHE[: APACHE.index("APPENDIX")]) == "apache-2.0"
    assert recognise_licence(APACHE[: APACHE.index("   END OF TERMS")]) == "apache-2.0"


def test_texts_over_the_limit_are_unknown() -> None:
    assert recognise_licence("word " * 1_000_000) is None


def test_texts_longer_than_any_licence_are_not_read_to_the_end(tmp_path: Path) -> None:
    own = (Path(__file__).parents[2] / "LICENSE").read_text()
    path = tmp_path / "LICENSE"
    path.write_text(own + "\n" * (5 * LONGEST))
    text = read_describing(path, path.name)
    assert len(text) < 5 * LONGEST
    assert (recognise_licence(own), recognise_licence(text.decode())) == ("apache-2.0", None)


def test_the_number_of_licences_to_read_is_limited() -> None:
    licences = [f"LICENSE-{index:04}" for index in range(10_000)]
    assert describing_files(["a.safetensors", "sub/LICENSE", *licences]) == {*licences[:32]}
    assert describing_files([*DESCRIBING_FILES, *licences]) == {*DESCRIBING_FILES, *licences[:32]}


def test_every_licence_in_the_data_has_one_name_and_a_text_long_enough_to_tell() -> None:
    entries = json.loads(licence_templates.DATA.read_text())["licences"]
    assert len({name for name, _, _ in entries}) > 600
    assert {"llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "gemma"} < {
        name for name, _, _ in entries
    }
    assert len({json.dumps(parts) for _, _, parts in entries}) == len(entries)


SOURCES: Final = os.environ.get("KAMIWAZA_TEST_LICENCES", "").split()


@pytest.mark.skipif(not SOURCES, reason="needs SPDX's texts: nox -s licences")
def test_every_text_of_spdx_is_recognised_as_itself() -> None:
    wrong = dict[str, str | None]()
    for name, _, text in licence_templates.entries(Path(SOURCES[0]), Path(SOURCES[1]), None):
        found = recognise_licence(text)
        if found != licence_templates.RENAMED.get(name, name) and (name, found) != ("standardml-nj", "smlnj"):
            wrong[name] = found
    assert wrong == {}
    checking = [sys.executable, "-m", "tests.formats.licence_templates", *SOURCES, "--check"]
    assert subprocess.run(checking, check=False).returncode == 0


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        *((path, True) for path in ("LICENSE", "LICENCE", "license.txt", "License.md", "COPYING", "UNLICENSE")),
        *((path, True) for path in ("LICENSE-MODEL", "LICENSE-CODE", "LICENSE.MIT", "LICENSE-APACHE-2.0.txt")),
        *(
            (path, True)
            for path in ("USE_POLICY", "USE_POLICY.md", "LICENSE_MODEL.md", "COPYING.LESSER", "LICENSES.rst")
        ),
        *((path, False) for path in ("licenses.csv", "license.py", "licensed.txt", "LICENSE.pdf", "docs/LICENSE")),
        *((path, False) for path in ("license_plates.safetensors", "NOTICE", "README.md", "copying_model.onnx")),
    ],
)
def test_files_with_usual_names_are_licences(path: str, expected: bool) -> None:
    assert is_licence_file(path) is expected


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        ([], None),
        (["", "  "], None),
        (["mit"], "mit"),
        (["MIT", "mit"], "mit"),
        (["mit", "gpl-3.0"], "mit AND gpl-3.0"),
        (["mit OR gpl-2.0", "cc-by-4.0"], "(mit OR gpl-2.0) AND cc-by-4.0"),
        (["mit AND cc-by-4.0", "cc-by-4.0"], "mit AND cc-by-4.0"),
        (["mit OR gpl-2.0", "(mit OR gpl-2.0) AND cc-by-4.0"], "(mit OR gpl-2.0) AND cc-by-4.0"),
        (["mit) OR (mit", "gpl-3.0"], "mit-OR-mit AND gpl-3.0"),
        (["mit, cc-by-4.0", "gpl-3.0"], "mit-cc-by-4.0 AND gpl-3.0"),
    ],
)
def test_joined_licences_stay_operands(licences: list[str], expected: str | None) -> None:
    assert all_of(licences) == expected


@pytest.mark.parametrize(
    ("card", "texts", "expected"),
    [
        (["mit"], ["gpl-3.0"], "mit AND gpl-3.0"),
        (["gpl"], ["gpl-3.0"], "gpl-3.0"),
        (["gpl-3.0-or-later"], ["gpl-3.0"], "gpl-3.0-or-later"),
        (["other"], ["mit"], "other AND mit"),
        ([], ["apache-2.0", "mit"], "apache-2.0 AND mit"),
    ],
)
def test_the_card_and_the_text_both_count(card: list[str], texts: list[str], expected: str) -> None:
    assert joined(card, texts) == expected


def test_repositories_list_all_licences() -> None:
    texts = {"README.md": b"---\nlicense: other\nlicense_name: mit\n---\n", "LICENSE-CODE": MIT.encode()}
    assert describe_repository({"README.md": texts["README.md"]}, {}).license == "other"
    assert describe_repository(texts, {}).license == "other AND mit"
    assert describe_repository(texts, {}).unknown_licenses == ()
    changed = describe_repository({"LICENSE": (MIT + COMMONS_CLAUSE).encode(), "COPYING": MIT.encode()}, {})
    assert (changed.license, changed.unknown_licenses) == ("mit", ("LICENSE",))
    assert (
        describe_repository({"license.txt": MIT.encode(), "COPYING": APACHE.encode()}, {}).license
        == "apache-2.0 AND mit"
    )
