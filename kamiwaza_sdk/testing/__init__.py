"""Tools for the tests of applications: a pytest plugin, which is loaded by being installed, and fakes.

The fixtures:

- ``mock_db``: a real session on a database in memory, with the registry's tables; undone after the test.
- ``mock_model``: one model in it, as `ModelSchema`.
- ``faulty_server``: a `FaultyServer`, an HTTP server on loopback, with or without faults.
- ``hugging_face_server``: a `HuggingFaceServer`, which is a Hugging-Face-compatible hub on loopback.
- ``fake_hub``: a `FakeHub`, which fetches nothing and always succeeds; it has a store of the test's own.
- ``mock_registry``: a real `Registry` on a database in memory, which fetches with ``fake_hub``.
- ``fake_downloads``: a `FakeDownloads`, which returns the files that it was given, without a network.

Everything public is importable from here, and loaded when first used.

Example::

    def test_my_fetcher_tries_again(faulty_server):
        url = faulty_server.add("/model.bin", body=b"weights", faults=[Status(503), Truncate(at=3), None])
        assert my_fetcher(url) == b"weights"
        assert [request.status for request in faulty_server.requests] == [503, 200, 200]
"""

from kamiwaza_sdk._names import attach

__all__, __getattr__, __dir__ = attach(__name__)
