"""The schema's steps, each a numbered file of plain statements, and what applies them."""
