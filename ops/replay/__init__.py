"""A past period run through the real scheduler and real workers, on a database of its own."""
