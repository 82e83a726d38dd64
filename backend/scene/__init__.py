"""Captures on disk: one reader per layout, one `load_scene` that recognises which."""
