"""The host as a model: its own code, on a disk and an Engine that can stop at any effect."""
