"""What every test shares: the check that the rows of tests/rows.toml were proved."""

pytest_plugins = ["tests.rows_plugin"]
