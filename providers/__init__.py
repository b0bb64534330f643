"""What models say, and how each provider says it: a leaf package that never imports the gateway."""
