"""Pull the plug anywhere: every point of every plan, on throwaway hosts, under traffic."""
