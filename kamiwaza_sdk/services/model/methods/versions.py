"""What `ModelService` does with versions."""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from kamiwaza_sdk.services.model import registry, search
from kamiwaza_sdk.services.model.methods.labels import Bound
from kamiwaza_sdk.services.model.schemas.version import (
    CreateParent,
    CreateVersion,
    ModelVersionSchema,
    RelativeSchema,
    UpdateVersion,
    VersionSort,
)

if TYPE_CHECKING:
    from kamiwaza_sdk.services.model.schemas.filters import Filter
    from kamiwaza_sdk.services.model.schemas.model import Page


class VersionMethods(Bound):
    """Versions: create, read, find, change, delete, copy, and what was made from what."""

    def create_version(self, model_id: UUID, version: CreateVersion, *, force: bool = False) -> ModelVersionSchema:
        """Create a version with the next number, made of files that are in the store or will be.

        The bytes are not looked into, as a session has no store: `register` does that.

        Holds the model's row until the transaction ends, so that numbers have no gaps: whoever creates another version
        of the same model meanwhile waits.

        Args:
            model_id: The model.
            version: Its files, and what is known of them.
            force: Make it ``ready`` although files of it failed. Its details and the history tell.

        Returns:
            The version, ``ready`` unless it was to be a ``draft``.

        Raises:
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            VersionAlreadyExistsException: The label is taken.
            VersionNotFoundException: One that it derives from does not exist.
            PolicyViolationException: A version of this namespace failed for what these files are, under whatever names,
                and it was not forced.
            InvalidInputException: `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> files = (CreateFile(path="model.onnx", size=3, sha256="ab" * 32),)
            >>> models.create_version(model.id, CreateVersion(files=files)).number
            1
        """
        return registry.versions.create_version(self._scope, model_id, version, force=force)

    def get_version(self, version_id: UUID) -> ModelVersionSchema:
        """Return a version by its id, with its files.

        Args:
            version_id: The id.

        Raises:
            VersionNotFoundException: This namespace has no such version, or its model is deleted.
            InvalidInputException: `version_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.get_version(version.id) == version
            True
        """
        return registry.versions.get(self._scope, version_id)

    def list_versions(self, model_id: UUID, *, after: int = 0, limit: int = 100) -> list[ModelVersionSchema]:
        """Return a page of a model's versions with their files, by number, in one statement.

        Args:
            model_id: The model.
            after: The number of the last version of the page before.
            limit: How many at most: 1 to 1,000.

        Raises:
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            InvalidInputException: `model_id` is no UUID, or `after` or `limit` is out of bounds.
            DatabaseException: The database could not do it.

        Example:
            >>> [version.number for version in models.list_versions(model.id)]
            [1]
        """
        return registry.versions.page(self._scope, model_id, after=after, limit=limit)

    def search_versions(
        self,
        where: "Filter | None" = None,
        *,
        sort: VersionSort = "created_at",
        descending: bool = False,
        cursor: str | None = None,
        limit: int = 100,
        with_total: bool = False,
    ) -> "Page[ModelVersionSchema]":
        """Return a page of the versions that a filter finds, of all models, with their files, in one statement.

        Args:
            where: What they are like. Default: anything. Conditions on models speak of the version's model; those on
                tags and aliases of the version itself.
            sort: By what; where that is equal, by id.
            descending: From the greatest on.
            cursor: ``next_cursor`` or ``previous_cursor`` of another page of the same query.
            limit: How many at most: 1 to 1,000.
            with_total: Count those on all pages too, in a statement more.

        Raises:
            InvalidCursorException: The cursor is of another query or order, or was altered.
            InvalidFilterException: The filter is not valid.
            InvalidInputException: `limit` or `sort` is out of bounds.
            DatabaseException: The database could not do it.

        Example:
            >>> [found.id == version.id for found in models.search_versions(Field.size < 2**20).items]
            [True]
        """
        return search.listings.search_versions(
            self._scope,
            where,
            sort=sort,
            descending=descending,
            cursor=cursor,
            limit=limit,
            with_total=with_total,
        )

    def count_versions(self, where: "Filter | None" = None) -> int:
        """Count the versions that a filter finds, of all models.

        Args:
            where: As of `search_versions`.

        Raises:
            InvalidFilterException: The filter is not valid.
            DatabaseException: The database could not do it.

        Example:
            >>> models.count_versions(Field.status == "failed")
            0
        """
        return search.listings.count_versions(self._scope, where)

    def resolve(self, reference: str, *, at: datetime | None = None) -> ModelVersionSchema:
        """Return the version that a reference string names, with its files.

        Args:
            reference: ``name`` for the latest version that is ready, ``name:3`` for a number, ``name:v1.5`` for a
                label, ``name@production`` for an alias; ``name@latest`` is the latest one that is ready.
            at: The moment for which to say where the alias led then; aware. Changes count from when they were made,
                in the order of their commits. Default: now.

        Raises:
            InvalidInputException: It has none of these forms; or `at` is no aware moment.
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            VersionNotFoundException: The model has no such version, or has it no more.
            AliasNotFoundException: The model has no such alias, or had none at that moment.
            DatabaseException: The database could not do it.

        Example:
            >>> models.resolve("minilm:1") == models.resolve("minilm") == version
            True
        """
        return registry.references.resolve(self._scope, reference, at=at)

    def update_version(
        self,
        version_id: UUID,
        changes: UpdateVersion,
        *,
        expected_revision: int | None = None,
        force: bool = False,
    ) -> ModelVersionSchema:
        """Change those fields of a version that are given; `None` clears one. Counts its revision up.

        A ``draft`` may get other files, and become ``ready`` or ``failed``. What is ``ready`` keeps its files for good,
        and may become ``archived`` or ``failed`` once no alias leads to it; an archived one may become ``ready`` again.
        One that failed because of a policy becomes ``ready`` only by force; its verdict stays in its details.

        Args:
            version_id: The version.
            changes: What changes; attributes are replaced as a whole.
            expected_revision: The revision that the changes were decided on. If someone has changed the version since,
                they are refused.
            force: Make it ``ready`` whatever a policy has against it. The history tells.

        Returns:
            The version as it is now.

        Raises:
            VersionNotFoundException: This namespace has no such version, or its model is deleted.
            VersionAlreadyExistsException: The new label is taken.
            RevisionConflictException: The version has another revision than the one expected.
            PolicyViolationException: A policy objects to it, or has objected to files of it in another version, and it
                was not forced.
            VersionStatusException: Its status does not allow that.
            InUseException: An alias leads to it, or rows of your own refer to files that it would lose.
            InvalidInputException: `version_id` is no UUID, or `expected_revision` no number.
            DatabaseException: The database could not do it.

        Example:
            >>> models.update_version(version.id, UpdateVersion(status="archived")).status
            'archived'
        """
        return registry.versions.update_version(
            self._scope, version_id, changes, expected_revision=expected_revision, force=force
        )

    def delete_version(self, version_id: UUID) -> None:
        """Delete a version for good, with its tags and configurations. Its number is never given out again.

        Bytes in the store are not touched. Of one that failed, what a policy said goes into the history: other versions
        of its files are not held to it any more.

        Args:
            version_id: The version.

        Raises:
            VersionNotFoundException: This namespace has no such version, or its model is deleted.
            InUseException: An alias leads to it, another version derives from it, or rows of your own refer to
                it, which SQLite looks for only where its foreign keys are on.
            InvalidInputException: `version_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.delete_version(version.id)
            >>> models.list_versions(model.id)
            []
        """
        registry.versions.delete_version(self._scope, version_id)

    def copy_version(
        self, version_id: UUID, model_id: UUID, *, version: str | None = None, force: bool = False
    ) -> ModelVersionSchema:
        """Copy a version into another model, as a promotion from one to the other: its files, facts, notes and tags.

        The copy derives from the original, and came from the same source. Nothing is registered twice: where the other
        model has a ready version of just these files, that one is returned.

        Args:
            version_id: The version, which is ready.
            model_id: The model that gets it.
            version: A label for the copy. Default: its number.
            force: Make it ``ready`` although files of it failed. Its details and the history tell.

        Returns:
            The version of the other model, ``ready``.

        Raises:
            VersionNotFoundException: This namespace has no such version, or its model is deleted.
            VersionStatusException: It is not ready.
            PolicyViolationException: Files of it failed in this namespace, later than it was found good, and it was not
                forced.
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            VersionAlreadyExistsException: The label is taken, or these files have another one.
            InvalidInputException: The label cannot be kept; or an id is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> released = models.create_model(CreateModel(name="minilm-released"))
            >>> models.copy_version(version.id, released.id).digest == version.digest
            True
        """
        return registry.versions.copy(self._scope, version_id, model_id, version=version, force=force)

    def set_parent(self, version_id: UUID, parent: CreateParent) -> None:
        """Note that a version was made from another; say how anew where that is noted already.

        Args:
            version_id: The version.
            parent: What it was made from, and how.

        Raises:
            VersionNotFoundException: One of them is not in this namespace, or its model is deleted.
            LineageCycleException: The one it would derive from derives from it.
            DatabaseBusyException: Another transaction is in the way, or has changed what the parent derives from, and
                this one's isolation level hides that.
            InvalidInputException: `version_id` is no UUID, or the version would have over 100 parents.
            DatabaseException: The database could not do it.

        Example:
            >>> base = models.create_version(model.id, CreateVersion(status="draft"))
            >>> models.set_parent(version.id, CreateParent(version_id=base.id, relation="fine-tuned"))
            >>> [parent.relation for parent in models.get_version(version.id).derived_from]
            ['fine-tuned']
        """
        registry.lineage.set_parent(self._scope, version_id, parent)

    def delete_parent(self, version_id: UUID, parent_id: UUID) -> None:
        """Take back that a version was made from another.

        Args:
            version_id: The version.
            parent_id: What it was not made from.

        Raises:
            VersionNotFoundException: The version is not in this namespace, or is not noted to derive from the other.
            InUseException: Rows of your own refer to what notes that.
            InvalidInputException: An id is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> base = models.create_version(model.id, CreateVersion(status="draft"))
            >>> models.set_parent(version.id, CreateParent(version_id=base.id, relation="converted"))
            >>> models.delete_parent(version.id, base.id)
        """
        registry.lineage.delete_parent(self._scope, version_id, parent_id)

    def list_ancestors(self, version_id: UUID, *, limit: int = 1000) -> list[RelativeSchema]:
        """Return what a version was made from, and what that was made from, and so on: nearest first, 100 steps far.

        Versions of deleted models are left out, what lies beyond them is not.

        Args:
            version_id: The version.
            limit: How many at most: 1 to 1,000.

        Raises:
            VersionNotFoundException: This namespace has no such version, or its model is deleted.
            InvalidInputException: `version_id` is no UUID, or `limit` is out of bounds.
            DatabaseException: The database could not do it.

        Example:
            >>> models.list_ancestors(version.id)
            []
        """
        return registry.lineage.relatives(self._scope, version_id, up=True, limit=limit)

    def list_descendants(self, version_id: UUID, *, limit: int = 1000) -> list[RelativeSchema]:
        """Return what was made from a version, and what was made from that, and so on: nearest first, 100 steps far.

        Args:
            version_id: The version.
            limit: How many at most: 1 to 1,000.

        Raises:
            VersionNotFoundException: This namespace has no such version, or its model is deleted.
            InvalidInputException: `version_id` is no UUID, or `limit` is out of bounds.
            DatabaseException: The database could not do it.

        Example:
            >>> copied = models.create_model(CreateModel(name="copied"))
            >>> copy = models.copy_version(version.id, copied.id)
            >>> [(one.model_name, one.relation, one.distance) for one in models.list_descendants(version.id)]
            [('copied', 'copied', 1)]
        """
        return registry.lineage.relatives(self._scope, version_id, up=False, limit=limit)
