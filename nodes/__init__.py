"""One step each: a folder per application."""
