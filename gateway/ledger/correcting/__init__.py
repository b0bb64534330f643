"""Corrections of what calls were charged: what they cost by the prices in force now, kept beside the rows."""
