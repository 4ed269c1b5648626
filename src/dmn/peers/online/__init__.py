"""Peers that learn from the stream: an answer rests on the images so far."""
