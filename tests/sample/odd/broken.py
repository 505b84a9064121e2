"""A graph file that fails when it is imported."""

raise ValueError("the application's own fault")
