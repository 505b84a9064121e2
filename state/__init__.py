"""What runs know: one module per application."""
