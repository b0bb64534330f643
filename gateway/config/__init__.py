"""The operator's settings: their values, where they are read from, and the texts made from them."""
