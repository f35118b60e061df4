"""What can be wrong with a source. The whole tree is drawn in `kamiwaza_sdk.exceptions`."""

from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import InvalidInputException, ServiceException

__all__ = ["InvalidSourceException", "SourceTooLargeException"]


class InvalidSourceException(InvalidInputException):
    """What was to be fetched is no source of files.

    Attributes:
        source: The part at fault, without credentials or query.
    """

    def __init__(self, source: str, reason: str) -> None:
        super().__init__("source", f"{shown(source, limit=200)} {reason}")
        self.source = source


class SourceTooLargeException(ServiceException):
    """The files of a source have more bytes than were admitted. Those that were fetched stay in the store.

    Attributes:
        source: Where they lie, without credentials or query.
        size: Their bytes, as far as they were counted.
        limit: How many were admitted.
    """

    def __init__(self, *, source: str, size: int, limit: int) -> None:
        super().__init__(
            f"{shown(source, limit=200)} has {size} bytes or more, over the limit of {limit}; "
            "raise max_size, or MODEL_SERVICE_MAX_MODEL_SIZE for pull_model()"
        )
        self.source = source
        self.size = size
        self.limit = limit
