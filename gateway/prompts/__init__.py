"""What was asked and answered, for projects that want it kept: opt-in, sealed, and deleted when its time is over."""
