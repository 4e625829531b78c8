"""Decisions: pure functions over frozen facts, no I/O."""
