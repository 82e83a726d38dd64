"""The training backend: photographs and masks in, labelled Gaussians out."""
