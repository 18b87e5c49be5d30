"""The science: search space, supernet, training, strategies and scoring; it knows no benchmark."""
