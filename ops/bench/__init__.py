"""Measurements of what was promised, each on embedded servers of its own. Not the tests: those hold what is right."""
