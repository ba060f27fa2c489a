"""Count rate and dose rate instruments, one file per family."""
