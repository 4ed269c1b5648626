"""Several models, stream orders and memory lengths at once, from one product of all images."""
