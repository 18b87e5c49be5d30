"""The methods that rank architectures, one file a paper; `registry` finds them."""
