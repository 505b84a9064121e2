"""What a command line may ask over `/bridge`: each method with its right, and whose things it may touch."""
