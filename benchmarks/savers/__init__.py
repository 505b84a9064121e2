"""What the benchmarks of the checkpointer share: contestants, databases, graphs, and a counting wire."""
