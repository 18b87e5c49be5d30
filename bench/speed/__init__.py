"""How fast training and scoring are, beside a supernet written the plain way."""
