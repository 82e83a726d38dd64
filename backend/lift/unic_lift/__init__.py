"""`unic-lift`: the embedding of UniC-Lift (2025) trained on frozen Gaussians, and its two decodes."""
