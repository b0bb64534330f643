"""What was used, spent and saved, as people and programs read it."""
