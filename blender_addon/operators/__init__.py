"""What the panel's buttons do, one file per job."""
