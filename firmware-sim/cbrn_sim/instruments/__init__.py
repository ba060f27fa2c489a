"""Simulated instruments on their real wires, written from the vendors' documents alone."""
