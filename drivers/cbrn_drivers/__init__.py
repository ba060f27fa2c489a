"""Drivers: transports (bytes), codecs (pure), one file per instrument family, profiles."""
