"""Peers that answer for many images together: the whole set, or batches of it."""
