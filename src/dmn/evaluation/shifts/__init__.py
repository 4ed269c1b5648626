"""Shifts: how far images have moved, and what happens in the groups that they are of."""
