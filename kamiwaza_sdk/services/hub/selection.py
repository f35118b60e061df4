"""Selection: the wanted files of a source, by patterns like those of ``huggingface_hub``, and names left out.

Files with names of these tools are left out, with a reason: git, Mercurial, Subversion and others; ``huggingface_hub``
(https://huggingface.co/docs/huggingface_hub/guides/download#download-files-to-a-local-folder), ModelScope and DVC
(https://dvc.org/doc/user-guide/project-structure/internal-files); unfinished downloads of many tools; Finder, Explorer,
editors and Python; and the usual places of secrets. Case does not matter, as some file systems ignore it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Final, NamedTuple

from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.formats.layouts.names import with_marks
from kamiwaza_sdk.services.hub.addresses import displayed
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException
from kamiwaza_sdk.services.hub.schemas.manifest import LeftOutSchema, ManifestFileSchema, ManifestSchema


class Rule(NamedTuple):
    """Names of one kind."""

    pattern: str
    reason: str
    #: Whether a pattern that names it brings it all the same.
    can_be_named: bool

    @property
    def names(self) -> re.Pattern[str]:
        """The expression that finds such a name in a path."""
        return _compiled(self.pattern)

    def part(self, path: str) -> str | None:
        """Return the path down to the segment with such a name; `None` if there is none."""
        found = self.names.search(path)
        return None if found is None else path[: found.end()]

    def is_named_by(self, pattern: str) -> bool:
        """Whether a pattern names such files, and does not just match everything."""
        texts = (pattern, pattern.replace("*", ""))
        return self.can_be_named and any(self.names.search(text) for text in texts)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)  # when one is needed, which for most sources is never


_NAMES: Final = list[str]()


def _rule(names: str, reason: str, *, can_be_named: bool = True) -> Rule:
    """Return the rule for patterns of names, separated by white space; ``*`` matches anything."""
    _NAMES.extend(names.split())
    alternatives = "|".join(re.escape(name).replace(r"\*", "[^/]*") for name in names.split())
    return Rule(rf"(?:^|(?<=/))(?:{alternatives})(?=/|$)", reason, can_be_named)


#: How files of models end.
_ENDINGS: Final = "safetensors|gguf|bin|onnx|onnx_data|pt|pth|ckpt|h5|keras|pkl|msgpack|json|model|txt"

_RULES: Final = (
    _rule(
        ".git .hg .svn .bzr .jj .pijul _darcs .fslckout",
        "is version control's: it can hold the address of a remote with its token, and is never taken",
        can_be_named=False,
    ),
    _rule(
        ".env .env.* .envrc .netrc _netrc .git-credentials .dvc/config.local .npmrc .pypirc .pgpass .htpasswd .s3cfg "
        ".boto .my.cnf .ssh .aws .azure .gnupg .kube .docker/config.json .config/gcloud .kaggle/kaggle.json "
        ".streamlit/secrets.toml id_rsa id_dsa id_ecdsa id_ed25519 .bash_history .python_history .vault-token .hgrc "
        ".comet.config .databrickscfg .terraformrc rclone.conf .lfsconfig .gitmodules",
        "is where secrets are kept",
    ),
    _rule(
        ".cache/huggingface .huggingface .locks *.incomplete .no_exist .dvc/cache .dvc/tmp .msc .mdl .mv ._____temp "
        ".rsync-partial .~tmp~ .tmp.drivedownload .tmp.driveupload .dropbox .dropbox.cache .stfolder .stversions",
        "is what a tool that downloads keeps for itself",
    ),
    _rule(
        "*_.gstmp .azDownload-* .syncthing.*.tmp ~syncthing~*.tmp .megatmp.* *.lftp-pget-status sha256-*-partial*",
        "is what has not arrived yet: its tool gives it another name at the end",
    ),
    Rule(
        # rsync writes .NAME.XXXXXX, the AWS CLI NAME.XXXXXXXX in hexadecimal.
        rf"(?:^|(?<=/))(?:\.[^/]+\.(?:{_ENDINGS})\.[A-Za-z0-9]{{6}}|[^/]+\.(?:{_ENDINGS})\.[0-9a-f]{{8}})(?=/|$)",
        "is what has not arrived yet: its tool gives it another name at the end",
        can_be_named=True,
    ),
    _rule(
        ".DS_Store ._* .AppleDouble .LSOverride __MACOSX .Spotlight-V100 .Trashes .fseventsd .TemporaryItems "
        ".DocumentRevisions-V100 Thumbs.db ehthumbs.db desktop.ini $RECYCLE.BIN .directory .Trash-* "
        ".nfs* .fuse_hidden* .goutputstream-* @eaDir lost+found",
        "is what a file manager or file system leaves",
    ),
    _rule(
        "__pycache__ *.pyc *.pyo .ipynb_checkpoints .mypy_cache .pytest_cache .ruff_cache .tox .nox .venv .idea "
        ".vscode *~ *.swp *.swo .#* *.tmp ~$* .~lock.*#",
        "is what an editor or a program leaves",
    ),
    # Finder's icon: its name ends with a carriage return, which no path of a model can hold.
    Rule(r"(?:^|(?<=/))Icon\r(?=/|$)", "is what a file manager leaves", can_be_named=False),
)


@cache
def _any() -> re.Pattern[str]:
    """Return a fast filter for names of any rule, by their beginning after a ``/``, or their end; it may match more."""
    begins = {re.escape(name.partition("*")[0].lower()) for name in _NAMES if name[0] != "*"}
    ends = {re.escape(name.rpartition("*")[2].lower()) for name in _NAMES if name[0] == "*"}
    unfinished = rf"\.(?:{_ENDINGS})\.[a-z0-9]{{6,8}}"
    return re.compile(rf"/(?:{'|'.join(sorted(begins))})|(?:{'|'.join(sorted(ends))}|{unfinished})(?:/|$)")


def _marks_of(names: Iterable[str]) -> frozenset[str]:
    """Return a text that every path with such a name contains, to filter many paths at once."""
    begins = {name.partition("*")[0].lower() for name in names if name[0] != "*"}
    ends = {name.rpartition("*")[2].lower() for name in names if name[0] == "*"}
    unfinished = {f".{ending}." for ending in _ENDINGS.split("|")}
    return frozenset({f"/{begin if begin[0].isalnum() else begin[0]}" for begin in begins} | ends | unfinished)


_NAMES.append("Icon\r")
_MARKS: Final = _marks_of(_NAMES)


def rules_for(path: str) -> list[Rule]:
    """Return the rules by which a path is left out, the strictest first."""
    if not _any().search(f"/{path.lower()}"):
        return []
    return [rule for rule in _RULES if rule.names.search(path)]


#: Endings under which browsers and download managers write what has not all arrived, or note how far it is.
HALF: Final = (
    ".aria2",
    ".aria2__temp",
    ".part",
    ".partial",
    ".crdownload",
    ".opdownload",
    ".download",
    ".incomplete",
    ".filepart",
    ".fdmdownload",
    ".dlpart",
    ".!qb",
    ".!ut",
    ".bc!",
    ".ytdl",
    ".wkdownload",
    ".xltd",
)
#: Those of them that are no model where what they belong to is gone: notes, and what `_RULES` name.
EMPTY_ALONE: Final = frozenset({".aria2", ".ytdl", ".incomplete"})


def half_of(path: str) -> tuple[str, str] | None:
    """Return the path of the file to which a partial file or a note belongs, and the ending; `None` for other files."""
    lower = path.lower()
    return next(((path[: -len(end)], end) for end in HALF if lower.endswith(end) and len(path) > len(end)), None)


def patterns(given: object, *, field: str) -> tuple[str, ...] | None:
    """Return one pattern or several as a tuple, or `None`.

    Raises:
        InvalidInputException: It is neither.
    """
    if given is None:
        return None
    several: tuple[object, ...] = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else (*given,)
    texts = tuple(pattern for pattern in several if isinstance(pattern, str))
    if len(texts) != len(several):
        raise InvalidInputException(field, "is no pattern and no list of them; give such as '*.safetensors'")
    return tuple(f"{pattern}*" if pattern.endswith("/") else pattern for pattern in texts)


def left_out_as(path: str, reason: str) -> LeftOutSchema:
    """Return the record of a file or directory that was left out; its name may be invalid text."""
    return LeftOutSchema(path=displayed(path), reason=reason)


@dataclass(frozen=True, slots=True)
class Selection:
    """The patterns that a caller gave.

    Attributes:
        allow: A file must match one of these; `None` if every file is wanted.
        ignore: A file must match none of these.
        in_part: Whether some of these files may be missing, because a variant is chosen from them.
    """

    allow: tuple[str, ...] | None = None
    ignore: tuple[str, ...] | None = None
    in_part: bool = False

    def wants(self, path: str) -> bool:
        """Whether the patterns include a file."""
        if self.allow is self.ignore is None:
            return True
        if self.allow is not None and not any(fnmatchcase(path, pattern) for pattern in self.allow):
            return False
        return not any(fnmatchcase(path, pattern) for pattern in self.ignore or ())

    def left_out(self, path: str) -> LeftOutSchema | None:
        """Return why an included file is left out; `None` if it is not."""
        rules = rules_for(path)
        rule = next((rule for rule in rules if not self._names(path, rule)), None) if rules else None
        return None if rule is None else left_out_as(rule.part(path) or path, rule.reason)

    def closed(self, directory: str) -> LeftOutSchema | None:
        """Return why nothing below a directory can be wanted; `None` if something can."""
        for rule in rules_for(directory):
            if not any(rule.is_named_by(pattern) for pattern in self.allow or ()):
                return left_out_as(rule.part(directory) or directory, rule.reason)
        return None

    def _names(self, path: str, rule: Rule) -> bool:
        return any(rule.is_named_by(pattern) and fnmatchcase(path, pattern) for pattern in self.allow or ())

    def of(self, manifest: ManifestSchema, *, sift: bool) -> ManifestSchema:
        """Return the manifest of the wanted files.

        Args:
            manifest: All files.
            sift: Whether it lists everything in a place, so that files which no pattern names may be left out. The
                files of version control always are.

        Raises:
            InvalidSourceException: No file is wanted.
        """
        files: list[ManifestFileSchema] = []
        left_out = {one.path: one for one in manifest.left_out}
        odd = with_marks([file.path for file in manifest.files], _MARKS)
        for file in manifest.files:
            path = file.path
            if not self.wants(path):
                continue
            reason = self.left_out(path) if path in odd and (sift or _is_never_taken(path)) else None
            if reason is None:
                files.append(file)
            else:
                left_out.setdefault(reason.path, reason)
        if manifest.files and not files:
            raise self._nothing_left(manifest, [*left_out])
        return manifest.model_copy(update={"files": tuple(files), "left_out": tuple(left_out.values())})

    def _nothing_left(self, manifest: ManifestSchema, left_out: list[str]) -> InvalidSourceException:
        known = ", ".join(ascii(file.path) for file in manifest.files[:5])
        if self.allow is None and self.ignore is None:
            named = ", ".join(map(ascii, left_out[:5]))
            reason = f"has nothing but what is left out unless allow names it: {named}"
        else:
            reason = f"has no file that allow={self.allow} and ignore={self.ignore} leave; it has {known} and so on"
        return InvalidSourceException(manifest.source, reason)


#: Without patterns.
EVERYTHING: Final = Selection()


def _is_never_taken(path: str) -> bool:
    return any(not rule.can_be_named for rule in rules_for(path))
