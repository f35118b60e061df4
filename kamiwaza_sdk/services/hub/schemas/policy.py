"""What a model must be like to be taken in, and what speaks against one."""

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
    """What a policy has against a model.

    Attributes:
        rule: The field of `Policy` that says so; ``content`` where a file is not what its name promises, such as a Git
            LFS pointer, which is asked without a policy too, or where an ONNX file has weights outside of its
            directory.
        reason: What is the matter, for people to read.
        path: The file; `None` where it is the model as a whole.
        kind: ``bad``: it was read, and is against the policy; ``unreadable``: it could not be looked into, so that
            nothing is known that would pass.

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
    """What a model must be like to be taken in. What is `None` is not asked for; what is not known does not pass.

    `HubService.plan` says what it has against a source, `ModelService.register` and `ModelService.pull_model` check it
    again on the bytes. Travels as JSON.

    Attributes:
        formats: What files of weights may be: ``safetensors``, ``gguf``, ``onnx``, ``pickle``, or another one of the
            page of formats: ``keras``, ``tflite``. Of the bytes, what they are counts, and not what they are called;
            texts and other data are not asked, but a program does not pass.
        licenses: Which licences are accepted, in the words of the hub: ``apache-2.0``. A model under several needs all
            of them: ``mit AND cc-by-4.0``, a list in its card, or a card and a text that differ. Of ``mit OR gpl-3.0``
            one is enough, and ``gpl-2.0 WITH classpath-exception`` is accepted only where it is named so.
        sources: Where it may come from: beginnings of addresses, ``hf://org/`` or ``/srv/models/``, or hosts,
            ``example.org`` or ``*.example.org``, which all files must come from. Of files on this machine the host is
            ``localhost``; buckets and the names of images are no hosts.
        max_size: The most bytes, all files together, or a text such as ``10 GiB``.
        worst_pickle: The worst verdict that a pickle may get, or the code that another file holds: ``safe``,
            ``suspicious``, or ``dangerous``, which any is. What is packed and was not looked into does not pass.
        needs_digests: Whether it must be known of each file beforehand which bytes it has.
        remote_code: `False` refuses what has loaders run code of its own: ``.py`` files, and what its configuration
            names (``auto_map``, ``custom_pipeline``). `True` is like `None`: nothing is asked.

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
