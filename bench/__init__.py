"""The measurement: ground-truth tables, metrics, intervals, studies and reports."""
