"""Training and scoring: the one loop, and accuracies and losses of architectures."""
