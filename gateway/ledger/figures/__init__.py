"""Figures of whole projects and of tags by hour and day: money, hits by layer, and how long calls took."""
