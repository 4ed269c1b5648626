"""What the study of shifts says: tables of distances, pseudo-labels and groups, and findings."""
