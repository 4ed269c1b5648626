"""Peers that answer for each image alone, from its view or views and the text."""
