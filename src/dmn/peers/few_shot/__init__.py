"""Peers that learn from the shots and answer for each image alone."""
