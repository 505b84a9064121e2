"""The shapes: one module per application, each with `build()` and `graph`."""
