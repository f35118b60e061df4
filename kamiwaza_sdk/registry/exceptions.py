"""Exceptions of `Registry` and `AsyncRegistry`. The whole tree is drawn in `kamiwaza_sdk.exceptions`."""

from kamiwaza_sdk.exceptions import ServiceException


class RegistryTimeoutException(ServiceException, TimeoutError):
    """A transfer took longer than the caller's ``timeout``. Nothing was registered; what has arrived stays.

    Attributes:
        operation: The method that was called.
        seconds: The limit that passed.
    """

    retryable = True

    def __init__(self, *, operation: str, seconds: float) -> None:
        super().__init__(
            f"{operation} took over {seconds:g} s; what has arrived stays in the store: call it again to go on there, "
            "or give it a longer timeout="
        )
        self.operation = operation
        self.seconds = seconds


class RegistryUnavailableException(ServiceException, RuntimeError):
    """The registry is closed, or cannot work where it was called: at the interpreter's exit, or under gevent.

    Attributes:
        operation: The method that was called.
        reason: Why it could not be done, with the way out.
    """

    def __init__(self, *, operation: str, reason: str) -> None:
        super().__init__(f"{operation}: {reason}")
        self.operation = operation
        self.reason = reason
