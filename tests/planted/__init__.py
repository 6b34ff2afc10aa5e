"""The planted faults, one list per room."""
