"""Lends the fixtures that feed a bank."""

from samples.bank_line import chlorine, line, noise, response

__all__ = ["chlorine", "line", "noise", "response"]
