"""Studies: one file each; which settings to run and what to measure."""
