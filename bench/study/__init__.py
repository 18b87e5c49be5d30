"""Studies: presets, runs, records, and the processes that make them."""
