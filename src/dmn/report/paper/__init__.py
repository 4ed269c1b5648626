"""What goes into a paper as it is."""
