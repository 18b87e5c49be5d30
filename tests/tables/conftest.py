"""A table of the official data sets."""

import pytest

from tests.tables.made_up import official_table


@pytest.fixture(scope="session")
def table():
    return official_table()
