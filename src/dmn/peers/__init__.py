"""Peer methods in the same harness, one file each."""
