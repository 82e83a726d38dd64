"""Scores of predicted id maps against exact ones."""
