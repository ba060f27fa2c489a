"""Durable stores: journal with its chain, spool, series."""
