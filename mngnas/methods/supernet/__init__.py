"""Methods that train a weight-sharing supernet."""
