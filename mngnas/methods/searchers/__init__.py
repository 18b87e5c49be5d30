"""Searches of a table of ground truth, one file a paper."""
