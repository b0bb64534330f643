"""What an account's traffic cost, saved and took, over time: for a page that shows it at a glance."""
