"""Networks: weight-sharing supernets, many paths of one at once, and networks that share nothing; see `build`."""
