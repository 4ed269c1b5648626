"""Data sets: a registry as data, downloads, archives, splits and shifts."""
