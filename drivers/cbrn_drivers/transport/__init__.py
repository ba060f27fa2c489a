"""Ways to an instrument: bytes or registers in, typed errors out."""
