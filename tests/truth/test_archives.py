import itertools
import pickle
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import nas_201_api
import nats_bench
import numpy as np
import pytest
import torch

from bench.truth import TABLES, TableRequest, load_table
from bench.truth.checks import Expected, Known
from bench.truth.sources import archive, nasbench201, nats
from bench.truth.sources.official import LONG, OF_TOPOLOGY, PUBLISHED, SHORT, TEST
from bench.truth.table import Measure, Source
from mngnas.errors import UserError
from mngnas.spaces.topology import TOPOLOGY as SPACE

RUNS = {  # training run -> metrics that both packages record for it
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}
OURS = {
    ("cifar10", "valid"): ("cifar10-valid", "x-valid"),
    ("cifar10", "test"): ("cifar10", "ori-test"),
    ("cifar100", "valid"): ("cifar100", "x-valid"),
    ("cifar100", "test"): ("cifar100", "x-test"),
    ("imagenet16-120", "valid"): ("ImageNet16-120", "x-valid"),
    ("imagenet16-120", "test"): ("ImageNet16-120", "x-test"),
}
INDICES = (0, 6111, 13714, 9930, 857, 10676, 3)
SOURCE = Source("archive", "", "", "MIT")


def one_run(package, rng, dataset, seed, epochs, arch_str):
    """A run with every epoch, recorded through the package's own class."""
    config = {"channel": 16, "num_cells": 5, "arch_str": arch_str, "class_num": 10}
    by_epoch = {epoch: float(rng.random()) for epoch in range(epochs)}
    run = package.ResultsCount(dataset, None, by_epoch, by_epoch, 0.1, 15.0, config, seed, epochs, None)
    run.update_train_info(by_epoch, None, by_epoch, {epoch: 1 + float(rng.random()) for epoch in range(epochs)})
    keys = [f"{metric}@{epoch}" for metric in RUNS[dataset] for epoch in range(epochs)]
    run.update_eval(
        {key: 100 * float(rng.random()) for key in keys},
        {key: 3 * float(rng.random()) for key in keys},
        dict.fromkeys(keys, 0.5),
    )
    return run


def all_runs(package, rng, place, arch_str, epochs, seeds):
    results = package.ArchResults(place, arch_str)
    for dataset, seed in itertools.product(RUNS, seeds):
        results.update(dataset, seed, one_run(package, rng, dataset, seed, epochs, arch_str))
    return results.state_dict()


@dataclass
class Written:
    """An archive as its authors write it."""

    path: Path
    arch_strs: list[str]
    infos: dict  # place in the archive -> schedule -> state


def infos_of(package, names=(str(SHORT), str(LONG))):
    rng = np.random.default_rng(0)
    arch_strs = [SPACE.to_str(SPACE.from_index(i)) for i in INDICES]
    infos = {}
    for place, text in enumerate(arch_strs):
        seeds = (777, 888, 999) if place % 2 else (777, 888)
        infos[place] = {
            names[0]: all_runs(package, rng, place, text, 12, (777,)),
            names[1]: all_runs(package, rng, place, text, 200, seeds),
        }
    return arch_strs, infos


@pytest.fixture(scope="module")
def nats_infos():
    return infos_of(nats_bench)


@pytest.fixture(scope="module")
def nasbench201_infos():
    return infos_of(nas_201_api, ("less", "full"))


def write_folder(folder, arch_strs, infos):
    folder.mkdir()
    meta = {"meta_archs": arch_strs, "total_archs": len(arch_strs), "evaluated_indexes": set(infos)}
    nats_bench.pickle_save(meta, folder / "meta.pickle")
    for place, schedules in infos.items():
        nats_bench.pickle_save(OrderedDict(schedules), folder / f"{place:06d}.pickle")
    return Written(folder, arch_strs, infos)


def whole(arch_strs, infos):
    return {
        "meta_archs": arch_strs,
        "total_archs": len(arch_strs),
        "arch2infos": infos,
        "evaluated_indexes": set(infos),
    }


@pytest.fixture
def simple(tmp_path, nats_infos):
    return write_folder(tmp_path / "NATS-tss-v1_0-3ffb9-simple", *nats_infos)


@pytest.fixture
def full(tmp_path, nats_infos):
    path = tmp_path / "NATS-tss-v1_0-3ffb9-full.pickle.pbz2"
    nats_bench.pickle_save(whole(*nats_infos), path.with_suffix(""))
    return Written(path, *nats_infos)


@pytest.fixture
def pth(tmp_path, nasbench201_infos):
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    torch.save(whole(*nasbench201_infos), path)
    return Written(path, *nasbench201_infos)


@pytest.fixture(params=["nats folder", "nats file", "nasbench201"])
def written(request):
    """(table name, archive, the package's interface to it), each of the three formats in turn."""
    name, fixture, module = {
        "nats folder": ("nats", "simple", nats),
        "nats file": ("nats", "full", nats),
        "nasbench201": ("nasbench201", "pth", nasbench201),
    }[request.param]
    made = request.getfixturevalue(fixture)
    return name, made, module.open_archive(made.path, *([name] if module is nats else []))


def test_table_equals_the_packages_own_queries(written):
    name, made, api = written
    table = load_table(name, path=made.path, trust=True)
    assert (table.name, table.sources[0].note) == (name, "7 architectures")
    for (dataset, split), (run, metric) in OURS.items():
        for epochs in (12, 200):
            accuracy, loss = table.accuracy(dataset, split, epochs), table.loss(dataset, split, epochs)
            seeds = table.seeds[Measure(dataset, split, epochs)]
            assert seeds == ((777,) if epochs == 12 else (777, 888, 999))
            for place, text in enumerate(made.arch_strs):
                index = SPACE.to_index(SPACE.parse(text))
                trials = api.query_by_index(api.query_index_by_arch(text), run, hp=str(epochs))
                assert np.isfinite(accuracy[index]).sum() == len(trials) == (1 if epochs == 12 else 2 + place % 2)
                for seed, trial in trials.items():
                    truth = trial.get_eval(metric)
                    assert accuracy[index, seeds.index(seed)] == pytest.approx(truth["accuracy"] / 100, abs=1e-7)
                    assert loss[index, seeds.index(seed)] == pytest.approx(truth["loss"], rel=1e-6)
                asked = "valid" if split == "valid" else "test"
                info = api.get_more_info(text, run, hp=str(epochs), is_random=False)
                assert table.mean_accuracy(dataset, split, epochs)[index] == pytest.approx(
                    info[f"{asked}-accuracy"] / 100, abs=1e-6
                )
    for run in RUNS:
        seconds = table.mean_train_seconds(run.lower())
        for text in made.arch_strs:
            info = api.get_more_info(text, run, hp="200", is_random=False)
            assert seconds[SPACE.to_index(SPACE.parse(text))] == pytest.approx(info["train-all-time"], rel=1e-6)


def test_architectures_that_the_archive_lacks_are_unknown(written):
    name, made, _ = written
    table = load_table(name, path=made.path, trust=True)
    known = np.flatnonzero(np.isfinite(table.mean(TEST["cifar10"])))
    assert set(known) == set(INDICES)
    assert table.parameters["cifar10"][0] == 129_306


def test_converted_once_and_then_kept(written):
    name, made, _ = written
    assert not TABLES[name].is_cached(TableRequest(path=made.path))
    assert not TABLES[name].is_cached(TableRequest())
    first = load_table(name, path=made.path, trust=True)
    assert TABLES[name].is_cached(TableRequest(path=made.path))
    assert load_table(name, path=made.path).checksum == first.checksum  # nothing is unpickled: no trust needed
    if made.path.is_file():
        made.path.unlink()
        assert load_table(name).checksum == first.checksum


def test_a_changed_archive_is_converted_again(simple):
    load_table("nats", path=simple.path, trust=True)
    nats_bench.pickle_save(OrderedDict(simple.infos[1]), simple.path / "000000.pickle")
    assert not TABLES["nats"].is_cached(TableRequest(path=simple.path))


def test_without_trust_nothing_is_opened(tmp_path, written):
    name, _made, _ = written
    mark = tmp_path / "it ran"

    class Evil:
        def __reduce__(self):
            return Path.touch, (mark,)

    evil = tmp_path / "evil.pth"
    evil.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError) as raised:
        load_table(name, path=evil)
    assert "\n" not in str(raised.value)
    assert "--trust-archive" in str(raised.value)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["nats", "nasbench201"])
def test_no_archive(name, tmp_path):
    with pytest.raises(UserError, match=r"is made from an archive that you have: give it with --archive \(the f"):
        load_table(name, trust=True)
    with pytest.raises(UserError, match=r"there is no archive .*absent"):
        load_table(name, path=tmp_path / "absent", trust=True)
    assert not TABLES[name].is_cached(TableRequest(path=tmp_path / "absent"))


@pytest.mark.parametrize("name", ["nats", "nasbench201"])
def test_a_file_that_is_no_archive(name, tmp_path):
    for content in (b"hello", pickle.dumps({"a": 1})):
        path = tmp_path / "file"
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"is not a N.*Bench.* archive") as raised:
            load_table(name, path=path, trust=True)
        assert "\n" not in str(raised.value)


def test_a_list_of_architectures_without_results_is_no_archive(tmp_path, nats_infos):
    meta = whole(nats_infos[0], {}) | {"arch2infos": None}
    nats_bench.pickle_save(meta, tmp_path / "meta.pickle")
    torch.save(meta, tmp_path / "meta.pth")
    for name, file in (("nats", "meta.pickle.pbz2"), ("nasbench201", "meta.pth")):
        with pytest.raises(UserError, match=r"is not a NA.* archive \(AttributeError") as raised:
            load_table(name, path=tmp_path / file, trust=True)
        assert "\n" not in str(raised.value)


def test_a_folder_that_is_no_archive(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"is not a NATS-Bench archive"):
        load_table("nats", path=tmp_path / "folder", trust=True)
    with pytest.raises(UserError, match=r"is a folder, and table 'nasbench201' is made from the file"):
        load_table("nasbench201", path=tmp_path / "folder", trust=True)


def test_incomplete_archives_are_refused(tmp_path, simple, nats_infos):
    (simple.path / "000004.pickle.pbz2").unlink()
    with pytest.raises(UserError, match=r"simple is incomplete: 6 of 7 records"):
        load_table("nats", path=simple.path, trust=True)
    arch_strs, infos = nats_infos
    short = {place: schedules for place, schedules in infos.items() if place != 4}
    path = tmp_path / "short.pickle.pbz2"
    nats_bench.pickle_save(whole(arch_strs, short), path.with_suffix(""))
    with pytest.raises(UserError, match=r"short.pickle.pbz2 is incomplete: 6 of 7 records"):
        load_table("nats", path=path, trust=True)


def test_an_archive_of_another_search_space_is_refused(tmp_path, nats_infos):
    _, infos = nats_infos
    path = tmp_path / "size.pickle.pbz2"
    nats_bench.pickle_save(whole([f"{8 * n}:8:8:8:8" for n in range(1, 8)], infos), path.with_suffix(""))
    with pytest.raises(UserError, match=r"is an archive of NATS-Bench size .its first architecture is 8:8:8:8:8"):
        load_table("nats", path=path, trust=True)


def entries(accuracies, losses=1.0):
    """A whole archive in memory, one seed and schedule, only CIFAR-10."""
    for index, percent in enumerate(accuracies):
        run = SimpleNamespace(
            epochs=200, eval_acc1es={"ori-test@199": percent}, eval_losses={"ori-test@199": losses}, train_times=None
        )
        yield index, {"200": SimpleNamespace(dataset_seed={"cifar10": [777]}, all_results={("cifar10", 777): run})}


def test_a_whole_archive_must_show_the_published_facts():
    accuracies = np.random.default_rng(0).uniform(10, 90, SPACE.n_arch)
    with pytest.raises(UserError, match=r"fails its self-check: cifar10 test .* of index 0 is 0\.\d+, not 0\.85863"):
        archive.convert("nats", entries(accuracies), SPACE.n_arch, SOURCE, OF_TOPOLOGY, PUBLISHED)
    with pytest.raises(UserError, match=r"fails its self-check"):
        archive.convert("nasbench201", entries(accuracies), SPACE.n_arch, SOURCE, OF_TOPOLOGY, nasbench201.EXPECTED)
    expected = Expected(known=(Known(TEST["cifar10"], 9, accuracies[9] / 100),))
    table = archive.convert("nats", entries(accuracies), SPACE.n_arch, SOURCE, OF_TOPOLOGY, expected)
    np.testing.assert_allclose(table.values(TEST["cifar10"])[:, 0], accuracies / 100, rtol=1e-6)
    with pytest.raises(UserError, match=r"is incomplete: 15,620 of 15,625 records"):
        archive.convert("nats", entries(accuracies[:-5]), SPACE.n_arch, SOURCE, OF_TOPOLOGY, expected)


def test_real_numbers_in_another_order_are_refused(nb201):
    accuracies = 100 * nb201.mean(TEST["cifar10"])
    expected = replace(PUBLISHED, known=PUBLISHED.known[:1], optima=PUBLISHED.optima[:1], seed_counts=())
    archive.convert("nats", entries(accuracies), SPACE.n_arch, SOURCE, OF_TOPOLOGY, expected)
    archive.convert("nasbench201", entries(accuracies), SPACE.n_arch, SOURCE, OF_TOPOLOGY, nasbench201.EXPECTED)
    by_rank = [SPACE.to_index(arch) for arch in itertools.product(range(5), repeat=6)]
    with pytest.raises(UserError, match=r"of index 0 is"):
        archive.convert("nats", entries(accuracies[by_rank]), SPACE.n_arch, SOURCE, OF_TOPOLOGY, expected)


def test_real_numbers_through_the_real_package(tmp_path, nb201):
    """A folder with the real CIFAR-10 validation accuracies reads back as exactly these."""
    arch_strs, infos = infos_of(nats_bench)
    truth = nb201.accuracy("cifar10", "valid", LONG)
    for place, index in enumerate(INDICES):
        runs = infos[place]["200"]["all_results"]
        for column, seed in enumerate((777, 888, 999)):
            if ("cifar10-valid", seed) in runs:
                runs["cifar10-valid", seed]["eval_acc1es"]["x-valid@199"] = 100 * float(truth[index, column])
    made = write_folder(tmp_path / "simple", arch_strs, infos)
    found = load_table("nats", path=made.path, trust=True).accuracy("cifar10", "valid", LONG)
    for place, index in enumerate(INDICES):
        n_seed = 2 + place % 2
        np.testing.assert_allclose(found[index, :n_seed], truth[index, :n_seed], rtol=1e-6)


def test_a_run_of_the_wrong_length_is_refused():
    wrong = ((index, {"12": schedules["200"]}) for index, schedules in entries([50.0]))
    with pytest.raises(UserError, match=r"architecture 0: a run of 200 epochs lies among those of 12"):
        archive.convert("nats", wrong, 1, SOURCE, OF_TOPOLOGY, Expected())


def test_a_record_copied_over_another_is_refused(simple, full, pth):
    (simple.path / "000003.pickle.pbz2").write_bytes((simple.path / "000001.pickle.pbz2").read_bytes())
    for path, infos in ((full.path, dict(full.infos)), (pth.path, dict(pth.infos))):
        infos[3] = infos[1]
        if path == pth.path:
            torch.save(whole(pth.arch_strs, infos), path)
        else:
            nats_bench.pickle_save(whole(full.arch_strs, infos), path.with_suffix(""))
    for name, made in (("nats", simple), ("nats", full), ("nasbench201", pth)):
        with pytest.raises(UserError, match=r"record of architecture 3 is that of another one: it says 1"):
            load_table(name, path=made.path, trust=True)


@pytest.mark.parametrize(
    ("name", "place", "message"),
    [
        ("nats", "NATS-tss-v1_0-3ffb9-simple", "simple is incomplete: 3 of 15,625 records"),
        ("nats", "NATS-sss-v1_0-50262-simple", "is an archive of NATS-Bench size"),
        ("nats-size", "NATS-sss-v1_0-50262-simple", "simple is incomplete: 3 of 32,768 records"),
        ("nats-size", "NATS-tss-v1_0-3ffb9-simple", "is an archive of NAS-Bench-201 = NATS-Bench topology"),
        ("nats-size", ".", "is the folder around an archive: give .*NATS-sss-v1_0-50262-simple"),
        ("nats", ".", "is the folder around an archive: give .*NATS-tss-v1_0-3ffb9-simple"),
        ("nasbench201", "NATS-tss-v1_0-3ffb9-simple", "is a folder, and table 'nasbench201' is made from the file"),
        ("nb201", "NATS-tss-v1_0-3ffb9-simple", "is made from six files, and .* has no cifar10.pkl"),
        ("digits201", "NATS-tss-v1_0-3ffb9-simple/meta.pickle.pbz2", "is one .npz file, which .* is not"),
        ("nats", "NATS-tss-v1_0-3ffb9-simple/meta.pickle.pbz2", "is not a NATS-Bench archive"),
        ("nats", "NATS-tss-v1_0-3ffb9-simple/000000.pickle.pbz2", "is not a NATS-Bench archive"),
    ],
)
def test_the_official_three_records_are_told_for_what_they_are(shared, name, place, message):
    with pytest.raises(UserError, match=message) as raised:
        load_table(name, path=shared / "records" / place, trust=True)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["archive.tar", "archive.tar.gz", "archive.tgz", "archive.zip"])
def test_a_packed_archive_is_to_be_unpacked(tmp_path, name):
    (tmp_path / name).write_bytes(b"whatever")
    for table in ("nats", "nasbench201"):
        with pytest.raises(UserError, match=r"is packed: unpack it, and give what is in it"):
            load_table(table, path=tmp_path / name, trust=True)


def test_an_architecture_listed_twice_is_refused():
    text = SPACE.to_str(SPACE.from_index(0))
    with pytest.raises(UserError, match=r"lists an architecture twice"):
        archive.index_of([text, text], SPACE)
