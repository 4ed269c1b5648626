"""What studies draw: the forms, their panels, style and fonts."""
