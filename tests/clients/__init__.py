"""The clients and tools that people use, against real processes."""
