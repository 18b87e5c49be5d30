"""Statistics of rank correlation: metrics, intervals, evaluation; numpy and scipy alone."""
