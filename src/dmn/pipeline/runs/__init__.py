"""Where runs live, what they share, and what is shown of one."""
