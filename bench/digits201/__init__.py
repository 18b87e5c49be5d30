"""How the benchmark digits201 is made: training its networks, assembling its table, and how reliable it is."""
