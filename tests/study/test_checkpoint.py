"""Checkpoints: a flipped bit anywhere is noticed, and the one before it serves."""

import random

import pytest
import torch

from bench.study.checkpoint import CHECKPOINT, PREVIOUS, load_checkpoint, remove_checkpoints, save_checkpoint
from mngnas.errors import UserError

CPU = torch.device("cpu")


def test_the_newest_is_taken_and_the_one_before_kept(tmp_path):
    assert load_checkpoint(tmp_path, "me", CPU) is None
    for number in range(3):
        save_checkpoint(tmp_path, {"number": number, "tensor": torch.arange(3)}, "me")
    assert load_checkpoint(tmp_path, "me", CPU)["number"] == 2
    (tmp_path / CHECKPOINT).unlink()  # killed between two steps of saving
    assert load_checkpoint(tmp_path, "me", CPU)["number"] == 1
    remove_checkpoints(tmp_path)
    assert not list(tmp_path.iterdir())


def test_any_flipped_bit_is_noticed(tmp_path, capsys):
    save_checkpoint(tmp_path, {"number": 0}, "me")
    save_checkpoint(tmp_path, {"number": 1, "tensor": torch.arange(100)}, "me")
    whole = (tmp_path / CHECKPOINT).read_bytes()
    draw = random.Random(0)
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        (tmp_path / CHECKPOINT).write_bytes(damaged)
        assert load_checkpoint(tmp_path, "me", CPU)["number"] == 0
    assert "is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"mngnas-bench checkpoint 2\n"])
def test_no_whole_one_is_an_error(tmp_path, content):
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(UserError, match="is damaged, and there is no whole one before it; delete it to start again"):
        load_checkpoint(tmp_path, "me", CPU)


def test_another_runs_is_refused(tmp_path):
    save_checkpoint(tmp_path, {"number": 0}, "another")
    with pytest.raises(UserError, match=r"checkpoint\.pt is a checkpoint of another run"):
        load_checkpoint(tmp_path, "me", CPU)
    assert not (tmp_path / PREVIOUS).exists()
