"""`contrastive`: Contrastive Gaussian Clustering (Silva et al. 2024) on frozen Gaussians, with labels by HDBSCAN."""
