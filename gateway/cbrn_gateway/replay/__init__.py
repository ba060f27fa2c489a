"""Replay: the same pipeline in virtual time over a recording or an instrument's own log."""
