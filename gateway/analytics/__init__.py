"""Views of the usage rows: nothing here is stored twice."""
