"""Examples: reading them, making them trustworthy, splitting them without leaks."""
