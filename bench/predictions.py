"""The former name of `bench.scores.read`."""

from bench.scores.read import LeftOut, Predictions, ReadReport, read_predictions

__all__ = ["LeftOut", "Predictions", "ReadReport", "read_predictions"]
