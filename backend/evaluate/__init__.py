"""Scores of predicted id maps and masks against exact ones."""
