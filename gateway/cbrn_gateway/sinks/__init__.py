"""Sinks: each delivers from its own outbox at its own pace."""
