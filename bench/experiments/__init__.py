"""What was tried beside the product and is kept to be run again; docs/benchmarks.md has what came of it."""
