"""Policies: rules that models must satisfy, and violations of them."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from kamiwaza_sdk._validation import MAX_SIZE, InputSchema, Size
from kamiwaza_sdk.formats.schemas import PickleVerdict

#: The rule that a model's files are what their names promise, which no policy has to name.
CONTENT: Final = "content"
#: From harmless to harmful.
VERDICTS: Final[tuple[PickleVerdict, ...]] = ("safe", "suspicious", "dangerous")


def _several(value: Any) -> Any:  # Any: validated by what follows
    """Take a list as well as a tuple; one text is a mistake that would be taken for its letters."""
    return tuple(value) if isinstance(value, list | set | frozenset) else value


def _lower(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(value.strip().lower() for value in values)


_Words = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_several)]
_LowerWords = Annotated[_Words, AfterValidator(_lower)]


class ViolationSchema(InputSchema):
    """One rule that a model violates.

    Attributes:
        rule: The field of `Policy`; or ``content`` if a file is not what its name says, such as a Git LFS pointer (this
            is checked without a policy, too), or if an ONNX file has weights outside of its directory.
        reason: An explanation for people.
        path: The file; `None` for the model as a whole.
        kind: ``bad``: it was read, and violates the policy; ``unreadable``: it could not be read, so nothing is known
            about it.

    Example:
        >>> str(ViolationSchema(rule="formats", path="model.bin", reason="is a pickle"))
        'model.bin is a pickle (formats)'
    """

    rule: str
    reason: str
    path: str | None = None
    kind: Literal["bad", "unreadable"] = "bad"

    def __str__(self) -> str:
        return f"{'the model' if self.path is None else self.path} {self.reason} ({self.rule})"


class Policy(InputSchema):
    """Rules that a model must satisfy to be accepted. A rule that is `None` is not checked; unknown facts do not pass.

    `HubService.plan` lists the violations of a source; `ModelService.register` and `ModelService.pull_model` check the
    bytes. It can be sent as JSON.

    Attributes:
        formats: Allowed formats of weights: ``safetensors``, ``gguf``, ``onnx``, ``pickle``, or another one of the page
            of formats, such as ``keras`` or ``tflite``. The bytes decide, not the name. Texts and other data are not
            checked, but a program does not pass.
        licenses: Accepted licences, by the hub's names: ``apache-2.0``. If a model has several, all must be accepted:
            ``mit AND cc-by-4.0``, a list in its card, or a card and a text that differ. For ``mit OR gpl-3.0`` one is
            enough, and ``gpl-2.0 WITH classpath-exception`` is accepted only if exactly this is listed.
        sources: Allowed origins: beginnings of addresses, ``hf://org/`` or ``/srv/models/``, or hosts, ``example.org``
            or ``*.example.org``, from which all files must come. The host of files on this machine is ``localhost``;
            buckets and the names of images are not hosts.
        max_size: The most bytes, all files together, or a text such as ``10 GiB``.
        worst_pickle: The worst verdict that is accepted for a pickle, or for code in another file: ``safe``,
            ``suspicious``, or ``dangerous``, which accepts all. A compressed file that was not read does not pass.
        needs_digests: Whether a digest of each file must be known beforehand.
        remote_code: `False` refuses models whose own code is run by loaders: ``.py`` files, and code that the
            configuration names (``auto_map``, ``custom_pipeline``). `True` is like `None`: it is not checked.

    Raises:
        InvalidInputException: A field is not acceptable.

    Example:
        >>> policy = Policy(formats=("safetensors", "gguf"), licenses=("apache-2.0", "mit"), max_size=10 * 1024**3)
        >>> Policy.model_validate_json(policy.model_dump_json()) == policy
        True
    """

    formats: _LowerWords | None = None
    licenses: _LowerWords | None = None
    sources: _Words | None = None
    max_size: Annotated[Size, Field(ge=0, le=MAX_SIZE)] | None = None
    worst_pickle: PickleVerdict | None = None
    needs_digests: bool = False
    remote_code: bool | None = None


def shown_violations(violations: Sequence[ViolationSchema], *, most: int = 5) -> str:
    """Return the first violations, and how many more there are."""
    more = f"; and {len(violations) - most} more" if len(violations) > most else ""
    return "; ".join(_texts(violations[:most])) + more


def _texts(violations: Iterable[ViolationSchema]) -> list[str]:
    return [ascii(str(violation))[1:-1] for violation in violations]
