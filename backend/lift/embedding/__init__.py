"""What the methods share that train an embedding per Gaussian: pixels to train on, the optimiser, clustering."""
