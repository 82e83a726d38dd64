"""Shared by the methods that train an embedding per Gaussian: training pixels, the optimiser, clustering."""
