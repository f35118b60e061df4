"""What loading a pickle would do."""

from typing import ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from kamiwaza_sdk.formats.schemas.base import FileSchema

__all__ = ["Container", "PickleImportSchema", "PickleSchema", "PickleVerdict"]

PickleVerdict: TypeAlias = Literal["safe", "suspicious", "dangerous"]
Container: TypeAlias = Literal["pickle", "torch", "zip", "tar", "gzip", "zlib", "bzip2", "xz", "lzma", "lz4", "numpy"]


class PickleImportSchema(BaseModel):
    """Something that loading a pickle would import.

    Attributes:
        module: ``collections``; ``?`` where it cannot be told without loading.
        name: ``OrderedDict``; ``?`` where it cannot be told without loading.
        verdict: On this import alone.

    Example:
        >>> PickleImportSchema(module="os", name="system", verdict="dangerous").name
        'system'
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    module: str
    name: str
    verdict: PickleVerdict


class PickleSchema(FileSchema):
    r"""What loading a pickle-based file would import: what it is made of, and whether that can do harm.

    ``safe`` means: it consists of what weights are made of, and nothing else. It is no promise about the program that
    loads it. ``suspicious`` means: it needs code that is not known to be harmless, it is not whole, or it takes too
    much to be looked through, and the first finding says beyond what it is unknown. ``dangerous`` means: it can run any
    command, or hides what it imports. What is called a pickle and is none has no schema: it is refused as a
    `MalformedFileException`.

    Attributes:
        size: Of the file, in bytes.
        container: What the pickles are in: the file itself (``pickle``), the format of PyTorch before 1.6 (``torch``),
            an archive (``zip``, PyTorch's format since then, or ``tar``), a packed stream (``gzip``, ``zlib``,
            ``bzip2``, ``xz``, ``lzma``, ``lz4``), an array of NumPy's (``numpy``).
        verdict: The worst of the imports' and the findings'.
        imports: Sorted by module and name, each once.
        pickles: How many pickles were looked through.
        findings: What else speaks against it, for people to read.
        unread: What of it was not looked into, though there can be pickles in it, and why: it is packed, or takes too
            much.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("model.pkl").write_bytes(b"cos\nsystem\n(S'rm -rf /'\ntR.")
        >>> inspected = inspect_file("model.pkl")
        >>> inspected.verdict, inspected.imports[0].module, inspected.imports[0].name
        ('dangerous', 'os', 'system')
    """

    format: Literal["pickle"] = "pickle"
    container: Container
    verdict: PickleVerdict
    imports: tuple[PickleImportSchema, ...]
    pickles: int
    findings: tuple[str, ...]
    unread: tuple[str, ...] = ()
