"""Experiments that are not part of the product and can be run again; docs/benchmarks.md has their results."""
