"""The packaged tokenizer data: it is whole, it is what its list says, and what is damaged is never used."""

from pathlib import Path

import msgspec
import pytest

from providers import vocabulary
from providers.vocabulary import MINILM, SOURCES, Source, unpack


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.file)
def test_a_packaged_file_is_what_its_row_says(source: Source) -> None:
    """Length and hash of the content are recorded."""
    assert len(unpack(source)) == source.size_bytes


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"size_bytes": 10}, {"file": "SOURCES.md"}])
def test_a_damaged_file_is_refused(change: dict[str, str | int]) -> None:
    """A file with another hash, another length or no xz at all is never used."""
    source = msgspec.structs.replace(MINILM, **change)
    with pytest.raises(ValueError, match="reinstall"):
        unpack(source)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.file)
def test_the_list_of_sources_names_every_file(source: Source) -> None:
    """SOURCES.md has for every packaged file the row that the code has."""
    text = Path(vocabulary.__file__).with_name("SOURCES.md").read_text()
    cells = (
        f"`{source.file}`",
        source.origin,
        source.obtained,
        source.license,
        str(source.size_bytes),
        f"`{source.sha256}`",
    )
    assert "| " + " | ".join(cells) + " |" in text


def test_every_packaged_file_has_its_row() -> None:
    """Nothing is shipped whose origin and licence nobody wrote down."""
    packed = {path.name for path in Path(vocabulary.__file__).parent.glob("*.xz")}
    assert packed == {source.file for source in SOURCES}


def test_a_missing_file_is_an_error_of_the_system() -> None:
    """It names the file."""
    with pytest.raises(FileNotFoundError, match="gone"):
        unpack(msgspec.structs.replace(MINILM, file="gone.xz"))
