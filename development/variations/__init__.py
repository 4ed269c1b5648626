"""The reports under other circumstances: times, places, processors."""
