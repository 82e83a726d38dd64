"""Runs the command line as `python -m backend`."""

from backend.cli import main

main()
