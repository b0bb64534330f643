"""What every test shares: the check that the rows of tests/rows.toml were proved, and what keeps a client cheap."""

import gc
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest
from cheap_starts import cheap_starts
from hypothesis import settings

# How long one example takes is the machine's affair (the first one may load a vocabulary); pytest's timeout bounds all.
# The same examples in every run: a run that passed here passes elsewhere.
settings.register_profile("suite", settings.default, deadline=None, derandomize=True, database=None)
settings.load_profile("suite")

_END = "-----END CERTIFICATE-----\n"
# The databases are everybody's: a server for each folder of tests would be seven instead of three.
pytest_plugins = ["tests.targets_plugin", "tests.rows_plugin", "tests.folders_plugin", "tests.servers"]


def pytest_collection_finish() -> None:
    """Keep the collector from looking through ten thousand tests again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure() -> None:
    """Let errors of what nobody holds any more come up now: who looks for them next, and the end, find little to do."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the clients that tests make trust one authority instead of a hundred.

    They speak plain HTTP to this machine, and httpx reads the whole bundle anew for each of them: 40 ms.
    """
    first = Path(certifi.where()).read_text(encoding="utf-8").partition(_END)
    bundle = tmp_path_factory.mktemp("authorities") / "one.pem"
    bundle.write_text("".join(first[:2]), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certifi, "where", lambda: str(bundle))
        yield


@pytest.fixture(scope="session", autouse=True)
def _cheap_starts() -> Iterator[None]:
    """Work out once what is the same for every gateway of a session."""
    with cheap_starts():
        yield
