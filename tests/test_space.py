"""The search space: every architecture there and back, the published counts, and errors that name the place."""

import csv
from collections import Counter

import numpy as np
import pytest

from mngnas import space
from mngnas.space import (
    EDGES,
    N_ARCH,
    NONE,
    OPERATIONS,
    ArchitectureError,
    all_archs,
    from_index,
    from_key,
    live_graph,
    neighbours,
    parse,
    to_index,
    to_key,
    to_rank,
    to_str,
)

EVERY = [tuple(map(int, row)) for row in all_archs()]
EXAMPLE = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|skip_connect~2|"


def test_every_architecture_there_and_back():
    assert len(set(EVERY)) == N_ARCH == 15_625
    for index, arch in enumerate(EVERY):
        assert parse(to_str(arch)) == arch
        assert from_key(to_key(arch)) == arch
        assert to_index(arch) == index
        assert from_index(index) == arch
    assert sorted(map(to_rank, EVERY)) == list(range(N_ARCH))


def test_notation_by_hand():
    assert parse(EXAMPLE) == (3, 0, 4, 1, 2, 1)
    assert to_str((3, 0, 4, 1, 2, 1)) == EXAMPLE
    assert to_rank((0, 0, 0, 0, 1, 2)) == 7
    assert parse(f"  {EXAMPLE}\n") == parse(EXAMPLE)


def test_official_index_by_published_examples():
    """Index 0, and the best architecture on CIFAR-100 (validation and test), as the benchmark lists them."""
    assert to_str(from_index(0)) == (
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )
    best = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    assert to_index(parse(best)) == 9930


def test_official_index_and_classes_of_the_whole_published_list(shared):
    with (shared / "nb201" / "nats_bench.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["ArchitectureString"] for row in rows] == [to_str(arch) for arch in EVERY]
    theirs, ours = {}, space.benchmark_classes()
    for index, row in enumerate(rows):
        theirs.setdefault(row["UniqueString"], index)
    assert [theirs[row["UniqueString"]] for row in rows] == ours.tolist()


def test_published_counts():
    assert len(np.unique(space.live_indices())) == 9_445
    assert len(np.unique(space.benchmark_classes())) == 6_466
    assert len(np.unique(space.network_classes())) == 5_260
    assert (space.live_indices() == to_index((NONE,) * 6)).sum() == 341


def paths(arch):
    """Every way from input to output along edges that are not `none`, as tuples of edge numbers."""
    found, open_ways = [], [((), 0)]
    while open_ways:
        way, node = open_ways.pop()
        if node == 3:
            found.append(way)
        for edge, (source, target) in enumerate(EDGES):
            if source == node and arch[edge] != NONE:
                open_ways.append(((*way, edge), target))
    return found


def test_an_edge_lives_exactly_if_a_path_runs_through_it():
    for arch in EVERY[::7]:
        alive = {edge for way in paths(arch) for edge in way}
        assert live_graph(arch) == tuple(op if edge in alive else NONE for edge, op in enumerate(arch))
        assert live_graph(live_graph(arch)) == live_graph(arch)


def test_neighbours_differ_in_one_edge():
    for arch in EVERY[::500]:
        near = neighbours(arch)
        assert len(set(near)) == 24
        assert {sum(a != b for a, b in zip(arch, other, strict=True)) for other in near} == {1}


def test_same_networks_by_hand():
    same = space.network_canonical
    assert same((3, 0, 0, 0, 1, 0)) == same((0, 3, 0, 0, 0, 1)) == same((0, 0, 0, 3, 0, 0))  # one 3x3, skips around it
    assert same((3, 0, 0, 0, 3, 0)) != same((0, 0, 0, 3, 0, 0))
    assert same((1, 0, 0, 0, 2, 0)) != same((1, 0, 0, 0, 3, 0))


def test_classes_agree_with_their_smallest_member():
    for classes in (space.benchmark_classes(), space.network_classes(), space.live_indices()):
        assert (classes[classes] == classes).all()
        assert not classes.flags.writeable
    assert max(Counter(space.network_classes().tolist()).values()) >= 341


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (
            EXAMPLE.replace("avg_pool_3x3", "avg_pool_5x5"),
            "unknown operation on edge 1->2 'avg_pool_5x5'; did you mean",
        ),
        (EXAMPLE.replace("~2|", "~3|"), f"at character {EXAMPLE.index('~2|')}: expected '~2|', found '~3|'"),
        (EXAMPLE[:-1], "expected '~2|'"),
        (EXAMPLE + "x", "'x' follows the end"),
        (EXAMPLE.replace("+|none", "|none"), "at character 13: expected '~0|+|', found '~0||n'"),
        ("", "at character 0: expected '|', found ''"),
    ],
)
def test_parse_errors_name_the_place(text, place):
    with pytest.raises(ArchitectureError) as caught:
        parse(text)
    assert place in str(caught.value)


@pytest.mark.parametrize(
    ("key", "message"),
    [("01234", "has 5 digits, not 6"), ("012345", "has '5' at character 5"), ("01a340", "has 'a' at character 2")],
)
def test_key_errors_name_the_place(key, message):
    with pytest.raises(ArchitectureError, match=message):
        from_key(key)


@pytest.mark.parametrize("index", [-1, N_ARCH])
def test_index_errors(index):
    with pytest.raises(ArchitectureError, match=f"architecture index {index} is outside"):
        from_index(index)


def test_operations_are_in_the_stated_order():
    assert OPERATIONS == ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    assert EDGES == ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
