"""What the developers of dmn-repro run; not installed."""
