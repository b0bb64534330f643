"""What keeps the money of calls: counters, holds, what waits, the other processes, and the work beside the calls."""
