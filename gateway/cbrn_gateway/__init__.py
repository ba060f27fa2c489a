"""Roof of the house: configuration, pipeline, supervisor, alarms, stores, sinks and commands."""
