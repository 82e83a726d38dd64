"""What the views say of the Gaussians: masks, votes of each Gaussian for them, and what follows from the votes."""
