"""The exact layer: the same request again gets the same answer."""
