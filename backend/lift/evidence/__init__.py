"""Evidence of the views: masks, the votes of Gaussians for them, and statistics of the votes."""
