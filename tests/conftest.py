"""What every test shares: the check that the rows of tests/rows.toml were proved."""

from hypothesis import settings

# How long one example takes is the machine's affair (the first one may load a vocabulary); pytest's timeout bounds all.
settings.register_profile("suite", settings.default, deadline=None)
settings.load_profile("suite")

pytest_plugins = ["tests.rows_plugin"]
