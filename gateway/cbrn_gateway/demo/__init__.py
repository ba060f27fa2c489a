"""A whole square on this machine: simulated instruments on their real wires."""
