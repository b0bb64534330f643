"""The money of every call: rows that are durable before an answer ends, and the one place that prices them."""
