"""A year of made-up traffic, so that a newcomer sees at once what the views show."""
