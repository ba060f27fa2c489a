"""Wearables: what a person carries; body values never leave the process (safety 16)."""
