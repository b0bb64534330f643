"""The calls that go on to providers: what their requests say, and their two ways in."""
