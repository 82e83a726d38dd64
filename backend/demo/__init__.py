"""A small scene made from nothing, and the whole line run on it."""
