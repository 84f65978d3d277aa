"""What users and the people around them can rely on."""
