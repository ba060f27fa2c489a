"""Simulated world and instruments on the real wire, written from the vendors' documents."""
