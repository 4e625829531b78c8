"""The controller: what a person or a pipeline runs."""
