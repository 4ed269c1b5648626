"""What a configuration takes, before it runs: the seconds, memory and disk of each of its jobs."""
