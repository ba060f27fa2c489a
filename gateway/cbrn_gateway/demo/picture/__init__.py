"""The picture of a demo: the square to scale, what was measured and what was true."""
