"""The world that simulated instruments stand in: square, wind, gas, radiation, people."""
