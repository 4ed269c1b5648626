"""The images that the memory turned, one by one, on the page."""
