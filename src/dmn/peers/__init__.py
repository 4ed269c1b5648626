"""Peer methods under one contract, one file each, grouped by what they see."""
