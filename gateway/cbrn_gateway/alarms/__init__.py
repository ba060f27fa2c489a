"""Alarm rules, machine and texts: from an estimate to a message that people act on."""
