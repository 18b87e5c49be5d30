import csv
from dataclasses import replace

import numpy as np
import pytest

from bench.board.entries import reference_entries
from bench.stats.evaluation import reference_rows
from bench.stats.metrics import METRICS
from bench.truth import TABLES, TableRequest, load_table
from bench.truth.checks import Expected
from bench.truth.sources import nats_size
from bench.truth.sources.official import SIZE_TEST, SIZE_VALID
from bench.truth.table import default_target
from bench.truth.target import accuracy_target
from mngnas.errors import UserError
from mngnas.spaces.size import SIZE

TAU, RHO = METRICS["kendall_tau_b"].function, METRICS["spearman_rho"].function
IMAGES = {"cifar10": 25_000, "cifar100": 5_000, "imagenet16-120": 3_000}


@pytest.fixture(scope="module")
def table(shared):
    return nats_size.build({name: shared / "sss" / file.name for name, file in nats_size.FILES.items()})


def test_values_are_whole_pictures(table):
    for dataset, images in IMAGES.items():
        right = table.accuracy(dataset, "valid", 90).astype(np.float64) * images
        assert np.abs(right - right.round()).max() < 1e-2
        assert len(np.unique(table.mean(SIZE_VALID[dataset]))) == len(np.unique(right.round()))
    assert len(np.unique(table.mean(SIZE_VALID["cifar100"]))) == 1_462


def test_parameters_rank_as_published_and_so_does_the_validation_set(table, shared):
    """Against test accuracies that are for checks only: tau-b and rho of parameters and FLOPs, and the ceiling."""
    published = {  # parameters' tau and rho, FLOPs' tau and rho, validation's tau
        "cifar10": ("Cifar10", 10_000, 0.690, 0.872, 0.442, 0.609, 0.836),
        "cifar100": ("Cifar100", 5_000, 0.533, 0.717, 0.192, 0.281, 0.902),
        "imagenet16-120": ("ImageNet", 3_000, 0.677, 0.857, 0.415, 0.575, 0.878),
    }
    for dataset, (name, images, *wanted) in published.items():
        with (shared / "sss" / f"{name}-NATS.csv").open() as file:
            percents = np.array([float(row["accuracy"]) for row in csv.DictReader(file)])
        test, parameters, flops = np.round(percents / 100 * images), table.parameters[dataset], table.flops[dataset]
        valid = table.mean(SIZE_VALID[dataset])
        found = [TAU(parameters, test), RHO(parameters, test), TAU(flops, test), RHO(flops, test), TAU(valid, test)]
        assert found == pytest.approx(wanted, abs=6e-4)


def test_the_default_target_is_what_the_table_has(table):
    assert default_target(table, "cifar10") == SIZE_VALID["cifar10"]
    with pytest.raises(UserError, match="unknown split 'test'"):
        default_target(table, "cifar10", "test")
    with pytest.raises(UserError, match="unknown number of epochs '12'; available: 90"):
        default_target(table, "cifar10", None, 12)


def test_fetched_once_from_a_mirror(shared):
    assert not TABLES["nats-size"].is_cached(TableRequest())
    first = load_table("nats-size", mirror=str(shared))
    assert TABLES["nats-size"].is_cached(TableRequest())
    assert load_table("nats-size").checksum == first.checksum
    assert first.space is SIZE


def write(folder, change=lambda values: values):
    """Three files of made-up accuracies with the noise of the published ones."""
    rng, paths = np.random.default_rng(0), {}
    for dataset, images in IMAGES.items():
        right = rng.integers(1, images, SIZE.n_arch)
        paths[dataset] = folder / nats_size.FILES[dataset].name
        np.save(paths[dataset], change(right / images * 100 + rng.normal(0, 1e-9, SIZE.n_arch)))
    return paths


def test_noise_makes_no_differences(tmp_path):
    table = nats_size.build(write(tmp_path), Expected())
    right = np.random.default_rng(0).integers(1, 25_000, SIZE.n_arch)
    assert len(np.unique(table.mean(SIZE_VALID["cifar10"]))) == len(np.unique(right))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values, "fails its self-check: the best"),
        (lambda values: values[:-1], "does not hold the percent of"),
        (lambda values: values + 1e-3, "does not hold the percent of"),
        (lambda values: np.where(values > 50, np.nan, values), "does not hold the percent of"),
        (lambda values: np.full(len(values), "high"), "does not hold accuracies"),
    ],
)
def test_another_file_is_refused(tmp_path, change, message):
    with pytest.raises(UserError, match=message) as raised:
        nats_size.build(write(tmp_path, change))
    assert "\n" not in str(raised.value)


def test_with_one_seed_the_validation_accuracy_is_the_ceiling(table, shared):
    """The compact table with the test accuracies that are for checks only."""
    with (shared / "sss" / "Cifar10-NATS.csv").open() as file:
        test = np.array([float(row["accuracy"]) for row in csv.DictReader(file)], np.float32)[:, None] / 100
    both = replace(table, measures={**table.measures, SIZE_TEST["cifar10"]: test})
    target = accuracy_target(both, "cifar10", None, None)
    costs = table.parameters["cifar10"], table.flops["cifar10"]
    options = {"resamples": 10, "rng": np.random.default_rng(0)}
    ceiling = reference_rows(target.true, *costs, target.of_seeds, valid=target.valid, **options)[2]
    assert ceiling.label == "validation accuracy"
    assert ceiling.estimates["kendall_tau_b"].value == pytest.approx(0.836, abs=1e-3)
    entry = next(one for one in reference_entries(both, "cifar10", target) if one.name == "ceiling")
    assert entry.label == "ceiling: validation accuracy"
    assert reference_rows(target.true, *costs, target.of_seeds, **options)[2].estimates["kendall_tau_b"].n == 0
