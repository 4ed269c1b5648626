"""The exact fast stream: a recorded stream answered in blocks (docs/method.md, section 12)."""
