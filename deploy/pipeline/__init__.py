"""What the pipeline runs, for people and GitHub alike."""
