"""What tokens cost: an effective-dated table with sources, exact arithmetic on it, and the script that refreshes it."""
