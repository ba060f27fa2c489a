"""The living daemon: clock, buses, the turn of the pipeline, stores and sinks in one loop."""
