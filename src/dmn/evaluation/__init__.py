"""What a study stands on: its contract and inputs, one experiment, metrics and statistics."""
