"""Studies that several tests of reports read."""

import pytest

from tests.report.made_up import (
    EVERYTHING,
    SAMPLE,
    VARIANTS,
    made_up_diary,
    made_up_table,
    read,
    scores,
    small_study,
    write_run,
    write_searcher,
)

MANY = (*(f"method-with-name-{number}" for number in range(8)), "guided", "fair", "plain")
MANY_VARIANTS = (*VARIANTS, {"pool": 8, "rounds": 8})


@pytest.fixture(scope="session")
def table():
    return made_up_table()


@pytest.fixture(scope="session")
def full(table, tmp_path_factory):
    """Two methods with two seeds on everything, one of them with retrained candidates as well."""
    study = tmp_path_factory.mktemp("full")
    for seed in (0, 1):
        write_run(study, table, "plain", seed, noise=0.08)
        inherited = scores(table, seed, EVERYTHING)
        candidates = (-inherited.score).argsort()[: 40 + seed]
        rankings = {"inherited": inherited, "retrained": scores(table, seed + 9, candidates, 0.03)}
        write_run(study, table, "guided", seed, rankings=rankings, diary=made_up_diary(seed))
    return read(study, table, resamples=10)


@pytest.fixture(scope="session")
def many(table, tmp_path_factory):
    """More methods than a picture has room for, a searcher, all with diaries."""
    study = tmp_path_factory.mktemp("many")
    small_study(study, table, MANY, (0, 1), MANY_VARIANTS, diary=made_up_diary())
    write_searcher(study, table=table)
    return read(study, table)


@pytest.fixture(scope="session")
def some_folder(table, tmp_path_factory):
    """Two methods of three seeds on a sample, one with retrained candidates and a diary."""
    folder = tmp_path_factory.mktemp("reports") / "study"
    small_study(folder, table, ("plain",))
    for seed in (0, 1, 2):
        rankings = {"inherited": scores(table, seed, SAMPLE, 0.03), "retrained": scores(table, seed + 9, SAMPLE[:30])}
        write_run(folder, table, "guided", seed, rankings=rankings, dirty=seed == 1, diary=made_up_diary(seed))
    return folder


@pytest.fixture
def no_pictures(monkeypatch):
    """For what concerns the text alone."""
    monkeypatch.setattr("bench.report.to_svg", lambda _draw: b'<svg width="10pt"/>')
