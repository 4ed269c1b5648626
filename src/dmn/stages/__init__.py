"""The pipeline's stages: read artifacts, call the numerics, write artifacts."""
