"""The way back: what the system knows of a user, written as the files that the predecessor starts from."""
