"""The agent: what runs on a host, with the standard library alone."""
