"""Filters, health tests and detection: numpy in, numpy out; no input or output."""
