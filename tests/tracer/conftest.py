"""Fixtures that tests of the tracer share."""

import pytest

from tests.helpers.generating_models import GeneratingModels


@pytest.fixture(scope="session")
def generating(tmp_path_factory: pytest.TempPathFactory) -> GeneratingModels:
    """Folders of models that generate text, each traced once."""
    return GeneratingModels(tmp_path_factory.mktemp("generating"))
