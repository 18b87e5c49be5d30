"""`query`: every form of an architecture, what is shown, and what is refused in one line."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from bench.cli import main
from bench.truth import Measure
from bench.truth.sources import latency
from bench.truth.sources.official import DATASETS
from mngnas.spaces.topology import TOPOLOGY

ARCH = (3, 1, 0, 2, 4, 3)
INDEX = TOPOLOGY.to_index(ARCH)


def asked(capsys, *arguments):
    assert main(["query", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "text", [TOPOLOGY.to_str(ARCH), str(INDEX), "310243", "(3, 1, 0, 2, 4, 3)", "[3, 1, 0, 2, 4, 3]", "3 1 0 2 4 3"]
)
def test_any_form_names_the_same_architecture(capsys, own_cache, text):
    found = json.loads(asked(capsys, text, "--benchmark", "nats", "--json"))
    assert (found["index"], found["key"], found["arch_str"]) == (INDEX, "310243", TOPOLOGY.to_str(ARCH))
    (one,) = (m for m in found["measured"] if (m["split"], m["epochs"]) == ("test", 200))
    means = own_cache.mean(Measure("cifar10", "test", 200))
    assert one["mean"] == means[INDEX]
    assert one["rank"] == 1 + (means > means[INDEX]).sum()
    assert one["of"] == TOPOLOGY.n_arch
    assert list(one["seeds"]) == ["777", "888", "999"]
    assert np.mean(list(one["seeds"].values())) == pytest.approx(one["mean"], abs=2e-6)
    assert found["parameters"] == {"cifar10": own_cache.parameters["cifar10"][INDEX]}
    assert found["latency"] == {}


def test_numbers_of_another_code_base(capsys):
    """NASLib has other numbers of operations and another order of edges."""
    text = asked(capsys, "310243", "--benchmark", "digits201", "--digits-order", "naslib")
    assert TOPOLOGY.to_str(ARCH) not in text


def test_it_is_shown_to_people(capsys, own_cache):
    text = asked(capsys, str(INDEX), "--benchmark", "nats")
    mean = own_cache.mean(Measure("cifar10", "test", 200))[INDEX]
    assert TOPOLOGY.to_str(ARCH) in text
    assert f"{100 * mean:.2f} %" in text
    assert f"parameters: cifar10 {own_cache.parameters['cifar10'][INDEX]:,}" in text
    assert "777: " in text
    assert "latency" not in text


def test_a_table_that_does_not_know_it_says_so(capsys, own_cache, empty_cache):
    dead = TOPOLOGY.to_index((1, 0, 0, 0, 0, 0))
    measures = {measure: values.copy() for measure, values in own_cache.measures.items()}
    for values in measures.values():
        values[dead] = np.nan
    replace(own_cache, measures=measures).save(empty_cache / "tables" / "nats-0123456789ab.npz")
    text = asked(capsys, str(dead), "--benchmark", "nats")
    assert "the table has no ground truth of it" in text
    assert f"its live graph is that of index {TOPOLOGY.to_index((0,) * 6)}" in text
    assert "FLOPs: cifar10 " in text
    known = json.loads(asked(capsys, "9930", "--benchmark", "nats", "--json"))
    assert known["known"]
    assert {m["of"] for m in known["measured"]} == {15_624}


def test_where_it_stands_among_all(capsys):
    known = json.loads(asked(capsys, "9930", "--benchmark", "digits201", "--json"))
    assert {m["of"] for m in known["measured"]} == {15_625}
    losses = [m for m in known["measured"] if m["kind"] == "loss"]
    assert min(m["rank"] for m in losses) < 10  # low losses are good


def test_its_picture_is_drawn(capsys, tmp_path):
    path = tmp_path / "cell.svg"
    asked(capsys, "9930", "--benchmark", "digits201", "--svg", str(path))
    assert ElementTree.parse(path).getroot().tag.endswith("svg")


@pytest.mark.usefixtures("own_cache")
def test_latencies_are_shown_when_they_are_here_or_asked_for(capsys, monkeypatch):
    times = np.arange(TOPOLOGY.n_arch) + 0.5
    monkeypatch.setattr(latency, "load", lambda _file, _mirror: times)
    found = json.loads(asked(capsys, str(INDEX), "--benchmark", "nats", "--json", "--latency"))
    assert found["latency"] == dict.fromkeys(latency.FILES, INDEX + 0.5)
    assert main(["query", "1", "--benchmark", "digits201", "--latency"]) == 2
    assert "no device was measured with the networks of 'digits201'" in capsys.readouterr().err
    assert set(DATASETS) >= {"cifar10"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["15625"], "architecture index 15625 is outside 0..15624"),
        (["hello"], "'hello' is no architecture of NAS-Bench-201"),
        (["999999"], "999999 is outside 0..15624"),
        (["|nor_conv_3x3~0|"], "departs from"),
        (["1", "--digits-order", "nobody"], "nobody"),
        (["1", "--benchmark", "nb20"], "did you mean 'nb201'"),
    ],
)
@pytest.mark.usefixtures("empty_cache")
def test_a_mistake_is_one_line_and_fetches_nothing(capsys, arguments, message):
    assert main(["query", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert len(line) < 300
