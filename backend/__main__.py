"""`python -m backend` does what `backend` does."""

from backend.cli import main

main()
