"""Weights of the fusion: how they are chosen, and the criterion that needs no labels."""
