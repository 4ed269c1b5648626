"""What is said of peers only: how settings are chosen, and what was published."""
