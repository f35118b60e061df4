"""Fixtures for the tests of applications that embed the registry: a pytest plugin, loaded by being installed.

- ``mock_db``: a real session on a database in memory, with the registry's tables; undone after the test.
- ``mock_model``: one model in it, as `ModelSchema`.

Example::

    @pytest.fixture
    def service(mock_db):
        return ModelService(db=mock_db)


    def test_get_model_success(service, mock_model):
        result = service.get_model(mock_model.id)
        assert isinstance(result, ModelSchema)
"""
