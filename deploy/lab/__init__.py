"""The lab: throwaway hosts in Docker to try a deploy on."""
