"""Gas detectors and modules, one file per family."""
