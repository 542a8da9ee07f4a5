"""`python -m ops.cli` is `muhurat`."""

from ops.cli import main

main()
