"""Both readers on three real records of each space, which their authors publish for tests."""

import numpy as np
import pytest

from bench.truth.checks import Expected
from bench.truth.sources import nats
from bench.truth.sources.archive import convert, index_of
from bench.truth.sources.official import OF_SIZE, OF_TOPOLOGY
from bench.truth.table import Measure, Source
from mngnas.spaces.skeleton import Skeleton

PLACES = (0, 11, 284)
FOLDER = {"nats": "NATS-tss-v1_0-3ffb9-simple", "nats-size": "NATS-sss-v1_0-50262-simple"}
OFFICIAL = {"nats": OF_TOPOLOGY, "nats-size": OF_SIZE}
ASKED = {  # run and metric of the package -> ours
    ("cifar10-valid", "x-valid"): ("cifar10", "valid"),
    ("cifar10", "ori-test"): ("cifar10", "test"),
    ("cifar100", "x-valid"): ("cifar100", "valid"),
    ("cifar100", "x-test"): ("cifar100", "test"),
    ("ImageNet16-120", "x-valid"): ("imagenet16-120", "valid"),
    ("ImageNet16-120", "x-test"): ("imagenet16-120", "test"),
}


@pytest.fixture(scope="module", params=FOLDER)
def read(request, shared):
    """The table of three records, and the package's interface to them."""
    api = nats.open_archive(shared / "records" / FOLDER[request.param], request.param)
    where, entries = index_of(api.meta_archs, OFFICIAL[request.param].space), []
    for place in PLACES:
        api.reload(api.archive_dir, place)
        entries.append((where[place], api.arch2infos_dict[place]))
    official, source = OFFICIAL[request.param], Source("records", "", "", "MIT")
    return convert(request.param, iter(entries), 3, source, official, Expected()), api, official


def test_equals_the_packages_own_queries(read):
    table, api, official = read
    for hp, epochs in official.schedules:
        for (run, metric), (dataset, split) in ASKED.items():
            measure = Measure(dataset, split, epochs)
            if measure not in table.measures:  # a schedule whose seeds are not those of this run
                assert not any(metric in key for key in _runs(api, hp, run)[0].eval_acc1es)
                continue
            for place in PLACES:
                trials = api.query_by_index(place, run, hp=hp)
                known = table.values(measure)[place]
                assert np.isfinite(known).sum() == len(trials)
                for seed, trial in trials.items():
                    found = known[table.seeds[measure].index(seed)]
                    assert found == pytest.approx(trial.get_eval(metric)["accuracy"] / 100, abs=1e-7)


def test_training_accuracy_is_of_the_last_epoch_of_the_whole_training_set(read):
    table, api, official = read
    hp, epochs = official.schedules[-1]
    for run, dataset in (("cifar10", "cifar10"), ("ImageNet16-120", "imagenet16-120")):
        for place in PLACES:
            results = api.arch2infos_dict[place][hp]
            seeds = results.dataset_seed[run]
            wanted = np.mean([results.all_results[run, seed].train_acc1es[epochs - 1] for seed in seeds])
            assert table.mean_accuracy(dataset, "train", epochs)[place] == pytest.approx(wanted / 100, abs=1e-6)


def test_the_longest_schedule_is_the_default(read):
    table, _, official = read
    assert table.longest("cifar10", "test").epochs == official.longest
    assert official.longest == (90 if table.name == "nats-size" else 200)


def test_costs_are_those_of_the_records(read):
    table, api, official = read
    for run, classes, side in (("cifar10", 10, 32), ("cifar100", 100, 32), ("ImageNet16-120", 120, 16)):
        skeleton = Skeleton(cells=official.cells, classes=classes)
        for place in PLACES:
            arch = official.space.all_archs[place : place + 1]
            result = _runs(api, official.schedules[-1][0], run, place)[0]
            assert official.space.parameters(arch, skeleton)[0] == round(result.params * 1e6)
            assert official.space.flops(arch, skeleton, side)[0] == round(result.flop * 1e6)
            assert table.parameters[run.lower()][place] == round(result.params * 1e6)


def _runs(api, hp, run, place=0):
    results = api.arch2infos_dict[place][hp]
    return [results.all_results[run, seed] for seed in results.dataset_seed[run]]
