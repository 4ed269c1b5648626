"""Loops compiled by numba, written by hand for exactness and speed."""
