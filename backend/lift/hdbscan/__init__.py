"""`hdbscan`: the cluster loss of UniC-Lift alone, then HDBSCAN on the embedding: a baseline."""
