"""Streams as they are in the field: recipes, changes of domain, remedies, unknown classes."""
