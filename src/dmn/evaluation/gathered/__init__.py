"""What is kept of the answers to streams: as they pass by, and when a job is stopped."""
