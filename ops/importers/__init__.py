"""Bringing the predecessor's files and database in: read, understood, stored in batches, and taken back whole."""
