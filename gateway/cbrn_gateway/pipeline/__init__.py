"""The pure pipeline: events in, readings, estimates and alerts out; the same live and in replay."""
