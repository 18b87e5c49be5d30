"""MNGNAS, with the descent direction and the distillation that it is made of."""
