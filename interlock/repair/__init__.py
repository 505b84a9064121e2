"""The repair agent: it reads a dead letter, tries one change without effects, and asks a person to promote it."""
