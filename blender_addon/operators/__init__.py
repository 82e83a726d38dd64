"""The operators behind the panel's buttons, one file per task."""
