"""Fixtures that tests of the pipeline share."""

from pathlib import Path

import pytest

from tests.helpers.batching import MIXED, run_batch, write_plan, write_sources


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str, str]:
    """A run of good and bad jobs by two workers: its folder, exit code, output and errors.

    Tests that change something take a copy.
    """
    folder = write_sources(tmp_path_factory.mktemp("mixed"))
    write_plan(folder, MIXED)
    return folder, *run_batch(folder, "--workers", "2")
