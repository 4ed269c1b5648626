"""Encoders: open_clip models, the embedded small CLIP, views, prompts and extraction."""
