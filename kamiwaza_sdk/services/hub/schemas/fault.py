"""A file whose content is not what its name promises."""

from kamiwaza_sdk._validation import FilePath, InputSchema

__all__ = ["FileFaultSchema"]


class FileFaultSchema(InputSchema):
    """A file that has the name of weights or of a configuration, and is something else.

    Attributes:
        path: Relative to the model's root, with ``/`` between segments.
        kind: What it is: ``git_lfs_pointer``, ``html_page``, ``error_answer`` (in JSON or XML), ``text``, ``empty``,
            ``zeros``, or ``wrong_magic_number``.
        reason: The same for people to read, with the way out; begins with "is".

    Example:
        >>> fault = FileFaultSchema(path="model.safetensors", kind="html_page", reason="is an HTML page")
        >>> str(fault)
        'model.safetensors is an HTML page'
    """

    path: FilePath
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"
