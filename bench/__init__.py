"""Measurements; README.md lists the question that each module answers."""
