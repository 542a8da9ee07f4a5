"""What people see of the queues and do to them: plain functions for the command line and the web, in and out values.

The row in Postgres is the truth and changes first; then Redis, each message in one script that says whether it won.
"""
