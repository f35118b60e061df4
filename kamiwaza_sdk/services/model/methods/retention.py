"""`ModelService`: methods for pins and retention."""

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from kamiwaza_sdk.services.model import registry
from kamiwaza_sdk.services.model.methods.labels import Bound

if TYPE_CHECKING:
    from kamiwaza_sdk.services.model.schemas.retention import PinSchema, RetentionPlanSchema, RetentionResultSchema


class RetentionMethods(Bound):
    """Which versions are kept."""

    def pin_version(self, version_id: UUID, name: str = "default", *, reason: str | None = None) -> "PinSchema":
        """Keep a version from being deleted, and its model from being purged, until it is unpinned.

        A pin is a row: it commits and vanishes with your transaction. The version's files stay in the store with it.

        Args:
            version_id: The version.
            name: Who or what needs it: each name has a pin of its own.
            reason: Why. Said anew where there is such a pin.

        Raises:
            VersionNotFoundException: This namespace has no such version, or its model is deleted.
            InvalidInputException: `version_id` is no UUID, or `name` or `reason` cannot be kept.
            DatabaseException: The database could not do it.

        Example:
            >>> models.pin_version(version.id, "paper", reason="figure 3").name
            'paper'
        """
        return registry.retention.pin(self._scope, version_id, name=name, reason=reason)

    def unpin_version(self, version_id: UUID, name: str = "default") -> bool:
        """Take a pin away.

        Args:
            version_id: The version.
            name: The pin's name.

        Returns:
            Whether there was such a pin.

        Raises:
            VersionNotFoundException: This namespace has no such version, or its model is deleted.
            InvalidInputException: `version_id` is no UUID, or `name` cannot be one.
            DatabaseException: The database could not do it.

        Example:
            >>> models.unpin_version(version.id)
            False
        """
        return registry.retention.unpin(self._scope, version_id, name=name)

    def list_pins(self, version_id: UUID) -> "list[PinSchema]":
        """Return the pins of a version, by name.

        Args:
            version_id: The version.

        Raises:
            VersionNotFoundException: This namespace has no such version, or its model is deleted.
            InvalidInputException: `version_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.list_pins(version.id)
            []
        """
        return registry.retention.pins(self._scope, version_id)

    def plan_retention(
        self,
        *,
        keep_last: int = 3,
        younger_than: timedelta = timedelta(days=30),
        unfinished_younger_than: timedelta = timedelta(days=7),
    ) -> "RetentionPlanSchema":
        """Return which versions of this namespace may go. Nothing is written.

        What has an alias, a pin, or a version that was made from it stays in any case. Reads a row for each version.

        Args:
            keep_last: How many of each model's ready versions stay, the newest ones.
            younger_than: What was created less long ago stays.
            unfinished_younger_than: The same for drafts and what failed.

        Raises:
            InvalidInputException: A number or a time is below 0, or of a wrong kind.
            DatabaseException: The database could not do it.

        Example:
            >>> print(models.plan_retention(keep_last=1))
            0 versions may go.
            Stays: nothing.
        """
        return registry.retention.plan(
            self._scope,
            keep_last=keep_last,
            younger_than=younger_than,
            unfinished_younger_than=unfinished_younger_than,
        )

    def apply_retention(self, plan: "RetentionPlanSchema") -> "RetentionResultSchema":
        """Delete the versions that a plan names, in your transaction, but for those that are needed by now.

        Each is judged once more by the plan's rules. Their files stay in the store until `clean_up` removes what no
        version has any more, once you have committed.

        Args:
            plan: What `plan_retention` returned, now or before.

        Raises:
            InvalidInputException: The plan is of another namespace, or none.
            DatabaseException: The database could not do it.

        Example:
            >>> models.apply_retention(models.plan_retention()).deleted
            ()
        """
        return registry.retention.apply(self._scope, plan)
