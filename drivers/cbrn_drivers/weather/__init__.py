"""Wind and weather instruments, one file per family."""
