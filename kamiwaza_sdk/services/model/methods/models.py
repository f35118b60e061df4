"""What `ModelService` does with models."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from kamiwaza_sdk.services.model import registry, search
from kamiwaza_sdk.services.model.methods.labels import Bound
from kamiwaza_sdk.services.model.schemas.model import (
    BulkResult,
    CreateModel,
    ModelSchema,
    ModelSort,
    OnConflict,
    Page,
    UpdateModel,
)

if TYPE_CHECKING:
    import os

    from kamiwaza_sdk.services.model.registry.bulk import BulkCreation
    from kamiwaza_sdk.services.model.registry.exports import Reader, Writer
    from kamiwaza_sdk.services.model.schemas.exchange import ExportSchema, ImportSchema
    from kamiwaza_sdk.services.model.schemas.filters import Filter
    from kamiwaza_sdk.services.storage.services import StorageService


class ModelMethods(Bound):
    """Models: create, read, find, change, delete, restore, purge."""

    def create_model(self, model: CreateModel) -> ModelSchema:
        """Create a model. It has no versions yet.

        Args:
            model: What it is.

        Returns:
            The model at revision 1.

        Raises:
            ModelAlreadyExistsException: The name is taken, perhaps by a deleted model.
            DatabaseException: The database could not do it.

        Example:
            >>> models.create_model(CreateModel(name="org/tiny")).revision
            1
        """
        return registry.models.create_model(self._scope, model)

    def create_models(
        self, models: Iterable[CreateModel], *, on_conflict: OnConflict = "raise", returning: bool = False
    ) -> BulkResult:
        """Create many models, in batches of 1,000, each of which is written whole or not at all.

        The models are read as they are needed: any iterable will do, of any length. What it raises is passed on; the
        batches before are written then.

        Args:
            models: What they are.
            on_conflict: What becomes of one whose name is taken: ``"raise"``; ``"skip"`` leaves what is there;
                ``"update"`` gives it the fields that are set, and adds the tags.
            returning: Return the models too, which takes memory for all of them.

        Returns:
            How many were created, updated and skipped.

        Raises:
            BulkException: One was refused, or the database could not do it: `ModelAlreadyExistsException`,
                `InvalidInputException` or a `DatabaseException` is the cause. It says which, and what became of the
                batches before, which are written.
            InvalidInputException: `on_conflict` is not one of the three, or `models` is not an iterable.

        Example:
            >>> models.create_models(CreateModel(name=f"org/m{number}") for number in range(2000)).created
            2000
        """
        bulk = registry.bulk.BulkCreation(on_conflict=on_conflict, returning=returning)
        for batch in bulk.batches(models):
            self._write_batch(bulk, batch)
        return bulk.result()

    def _write_batch(self, bulk: "BulkCreation", batch: list[CreateModel]) -> None:
        bulk.write(self._scope, batch)

    def export_models(
        self, where: "Filter | None" = None, *, to: "str | os.PathLike[str] | Writer", with_deleted: bool = False
    ) -> "ExportSchema":
        """Write what is known of models to a file, for another registry: `import_models` reads it.

        That is the models, their versions with files, tags, aliases, lineage and configurations, and their history, as
        they are at one moment; not pins, nor what is left of models that were purged, nor the bytes of files. It is
        lines of JSON, by name, and memory is for a hundred of them.

        Args:
            where: Which models. Default: all.
            to: A path, where a whole export appears, or what was there stays; or a file open for writing bytes.
            with_deleted: Deleted models too, as for a back-up.

        Returns:
            How much was written.

        Raises:
            InvalidFilterException: The filter is not valid.
            InvalidInputException: `to` cannot be written to.
            StorageFullException: There is no room.
            StoragePermissionException: This user may not write there.
            TransactionRequiredException: The connection is PostgreSQL's, and commits every statement by itself.
            DatabaseException: The database could not do it.

        Example:
            >>> models.export_models(Field.name == "minilm", to="models.jsonl").models
            1
        """
        return registry.exports.export_models(self._scope, where, to=to, with_deleted=with_deleted)

    def import_models(
        self,
        source: "str | os.PathLike[str] | Reader",
        *,
        on_conflict: OnConflict = "raise",
        storage: "StorageService | None" = None,
    ) -> "ImportSchema":
        """Write what an export says into this registry and namespace, all of it or nothing.

        Ids and times are kept. A model that is new here has the history that it had. What a policy said is taken as it
        is in the file, which nobody has signed: import from where you would take models. A version is not ``ready``
        where its files have failed here. Memory is for a thousand rows, and for the files of a version.

        Args:
            source: The path of an export, or a file open for reading bytes.
            on_conflict: What becomes of a model whose name or id is here: ``"raise"``; ``"skip"`` leaves what is here;
                ``"update"``, for the same id, gives it the fields, and adds versions, aliases, configurations and tags
                of the model that it lacks. That is part of its own history. What is deleted in the export is skipped
                then.
            storage: The store where the files are, or will be: each is looked at there after its row is written, so
                that no clean-up can take it. Default: nobody looks.

        Returns:
            What became of the models.

        Raises:
            ExportFileException: It is no export, or was cut or damaged.
            ExportTooNewException: A newer version of the library has written it.
            ImportException: Something in it cannot be here. The cause says why: `ModelAlreadyExistsException`,
                `VersionAlreadyExistsException`, `PolicyViolationException`, `BlobNotFoundException` and others.
            InvalidInputException: `source` cannot be read, or `on_conflict` is not one of the three.
            DatabaseException: The database could not do it.

        Example:
            >>> exported = models.export_models(to="models.jsonl")
            >>> models.import_models("models.jsonl", on_conflict="skip").skipped
            1
        """
        return registry.imports.import_models(self._scope, source, on_conflict=on_conflict, storage=storage)

    def get_model(self, model_id: UUID) -> ModelSchema:
        """Return a model by its id.

        Args:
            model_id: The id.

        Raises:
            ModelNotFoundException: This namespace has no such model, or it is deleted.
            InvalidInputException: `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.get_model(model.id).name
            'minilm'
        """
        return registry.models.get(self._scope, model_id)

    def get_model_by_name(self, name: str) -> ModelSchema:
        """Return a model by its name.

        Args:
            name: The name, case and all.

        Raises:
            ModelNotFoundException: This namespace has no such model, or it is deleted.
            InvalidInputException: No model can have such a name.
            DatabaseException: The database could not do it.

        Example:
            >>> models.get_model_by_name("minilm") == model
            True
        """
        return registry.models.get_by_name(self._scope, name)

    def list_models(self, *, after: str = "", limit: int = 1000) -> list[ModelSchema]:
        """Return a page of the models that are not deleted, by name in code point order.

        Args:
            after: The name of the last model of the page before.
            limit: How many at most: 1 to 1,000.

        Raises:
            InvalidInputException: `limit` is out of bounds, or `after` is no text.
            DatabaseException: The database could not do it.

        Example:
            >>> [model.name for model in models.list_models(limit=1)]
            ['minilm']
        """
        return registry.models.page(self._scope, after=after, limit=limit)

    def search_models(
        self,
        where: "Filter | None" = None,
        *,
        text: str | None = None,
        sort: ModelSort = "name",
        descending: bool = False,
        cursor: str | None = None,
        limit: int = 100,
        with_total: bool = False,
        deleted: bool = False,
    ) -> "Page[ModelSchema]":
        """Return a page of the models that a filter and a text find.

        In one statement; in a second one where the page goes over from models with a value to sort by to those
        without, and in one for the total. No model comes twice, and none that was there when the
        first page was read is left out, unless what it is sorted by changes meanwhile.

        Args:
            where: What they are like. Default: anything. Conditions on versions speak of the latest version.
            text: Words of their name, author, description, card or tags, in any order. Case and accents do not count;
                the last word may be the beginning of one. Of more than 10,000 that have them, 10,000 are looked at.
            sort: By what; where that is equal, by id. Texts sort by code point, and what has no value comes last.
            descending: From the greatest on.
            cursor: ``next_cursor`` or ``previous_cursor`` of another page of the same query.
            limit: How many at most: 1 to 1,000.
            with_total: Count those on all pages too, in a statement more.
            deleted: Find deleted models instead.

        Raises:
            InvalidCursorException: The cursor is of another query or order, or was altered.
            InvalidFilterException: The filter is not valid.
            InvalidInputException: `limit`, `sort` or `text` is out of bounds.
            DatabaseException: The database could not do it.

        Example:
            >>> page = models.search_models(Field.private == False, text="mini", sort="created_at", limit=10)
            >>> [model.name for model in page.items], page.next_cursor
            (['minilm'], None)
        """
        return search.listings.search_models(
            self._scope,
            where,
            text=text,
            sort=sort,
            descending=descending,
            cursor=cursor,
            limit=limit,
            with_total=with_total,
            deleted=deleted,
        )

    def iter_models(
        self,
        where: "Filter | None" = None,
        *,
        text: str | None = None,
        sort: ModelSort = "name",
        descending: bool = False,
        deleted: bool = False,
    ) -> Iterator[ModelSchema]:
        """Iterate over all models that a filter and a text find, in memory for 1,000 of them.

        Each 1,000 are a page of `search_models`, read when it is come to, in the transaction of that moment.

        Args:
            where: As of `search_models`.
            text: As of `search_models`.
            sort: As of `search_models`.
            descending: As of `search_models`.
            deleted: As of `search_models`.

        Raises:
            InvalidFilterException: The filter is not valid.
            InvalidInputException: `sort` or `text` is out of bounds.
            DatabaseException: The database could not do it.

        Example:
            >>> [model.name for model in models.iter_models(Field.name.startswith("mini"))]
            ['minilm']
        """
        cursor: str | None = None
        while True:
            page = self.search_models(
                where, text=text, sort=sort, descending=descending, cursor=cursor, limit=1000, deleted=deleted
            )
            yield from page.items
            if (cursor := page.next_cursor) is None:
                return

    def count_models(self, where: "Filter | None" = None, *, text: str | None = None, deleted: bool = False) -> int:
        """Count the models that a filter and a text find.

        Args:
            where: As of `search_models`.
            text: As of `search_models`; at most 10,000 are counted.
            deleted: As of `search_models`.

        Raises:
            InvalidFilterException: The filter is not valid.
            InvalidInputException: `text` is out of bounds.
            DatabaseException: The database could not do it.

        Example:
            >>> models.count_models()
            1
        """
        return search.listings.count_models(self._scope, where, text=text, deleted=deleted)

    def update_model(
        self, model_id: UUID, changes: UpdateModel, *, expected_revision: int | None = None
    ) -> ModelSchema:
        """Change those fields of a model that are given; `None` clears one. Counts its revision up.

        Args:
            model_id: The model.
            changes: What changes. A new ``name`` renames it.
            expected_revision: The revision that the changes were decided on. If someone has changed the model since,
                they are refused.

        Returns:
            The model as it is now.

        Raises:
            ModelNotFoundException: This namespace has no such model, or it is deleted.
            ModelAlreadyExistsException: The new name is taken.
            InUseException: Rows of your own refer to the old name.
            RevisionConflictException: The model has another revision than the one expected.
            InvalidInputException: `model_id` is no UUID, or `expected_revision` no number.
            DatabaseException: The database could not do it.

        Example:
            >>> models.update_model(model.id, UpdateModel(license="apache-2.0")).license
            'apache-2.0'
        """
        return registry.models.update_model(self._scope, model_id, changes, expected_revision=expected_revision)

    def delete_model(self, model_id: UUID) -> None:
        """Delete a model so that `restore_model` can bring it back, with its versions. Its name stays taken.

        Args:
            model_id: The model.

        Raises:
            ModelNotFoundException: This namespace has no such model, or it is deleted already.
            InvalidInputException: `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.delete_model(model.id)
            >>> models.list_models()
            []
        """
        registry.models.delete_model(self._scope, model_id)

    def restore_model(self, model_id: UUID) -> ModelSchema:
        """Bring a deleted model back, with its versions. Does nothing to one that is not deleted.

        Args:
            model_id: The model.

        Returns:
            The model as it is now.

        Raises:
            ModelNotFoundException: This namespace has no such model.
            InvalidInputException: `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.delete_model(model.id)
            >>> models.restore_model(model.id).deleted_at is None
            True
        """
        return registry.models.restore(self._scope, model_id)

    def purge_model(self, model_id: UUID) -> None:
        """Remove a deleted model for good, with its versions, aliases, tags, configurations and history.

        Its name is free then. One event stays in the history of the namespace, which says so. Bytes in the store are
        not touched.

        Args:
            model_id: The model, which `delete_model` has deleted before.

        Raises:
            ModelNotFoundException: This namespace has no such model.
            InUseException: It is not deleted, or rows of your own refer to it or its versions, which SQLite looks
                for only where its foreign keys are on, or versions of other models derive from its own.
            InvalidInputException: `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.delete_model(model.id)
            >>> models.purge_model(model.id)
            >>> models.create_model(CreateModel(name="minilm")).revision
            1
        """
        registry.models.purge(self._scope, model_id)
