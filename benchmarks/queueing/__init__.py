"""What the benchmark of runs shares: its graphs, its processes, and how they are watched from outside."""
