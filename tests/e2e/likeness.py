"""How like two pictures of a page are: compared in the browser at half their size, so that edges hardly count.

A picture is like its golden where at most TOLERANCE of the pixels differ by more than THRESHOLD in a channel.
"""

import base64
from pathlib import Path

import msgspec
from playwright.async_api import Page

# Of 255, after halving; and the share of pixels that may be beyond it.
THRESHOLD = 40
TOLERANCE = 0.01
# Gives the halved picture, the share of pixels that differ from the golden, and the two beside their difference.
COMPARE = """
async ([now, golden, threshold]) => {
  const read = async (data) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    return image;
  };
  const draw = (width, height, paint) => {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    paint(canvas.getContext("2d", { willReadFrequently: true }));
    return canvas;
  };
  const write = (canvas) => canvas.toDataURL("image/png").split(",")[1];
  const whole = await read(now);
  const [width, height] = [whole.width >> 1, whole.height >> 1];
  const half = draw(width, height, (to) => {
    to.imageSmoothingQuality = "high";
    to.drawImage(whole, 0, 0, width, height);
  });
  if (!golden) return { half: write(half), share: 1, told: "" };
  const known = await read(golden);
  if (known.width !== width || known.height !== height) return { half: write(half), share: 1, told: write(half) };
  const pixels = (source) => {
    const canvas = draw(width, height, (to) => to.drawImage(source, 0, 0));
    return canvas.getContext("2d").getImageData(0, 0, width, height);
  };
  const [ours, theirs] = [pixels(half), pixels(known)];
  let differing = 0;
  const marks = new ImageData(width, height);
  for (let at = 0; at < ours.data.length; at += 4) {
    const by = Math.max(...[0, 1, 2].map((channel) => Math.abs(ours.data[at + channel] - theirs.data[at + channel])));
    const isFar = by > threshold;
    differing += isFar;
    marks.data.set(isFar ? [255, 0, 80, 255] : [by, by, by, 255], at);
  }
  const told = draw(width * 3, height, (to) => {
    to.drawImage(known, 0, 0);
    to.drawImage(half, width, 0);
    to.putImageData(marks, width * 2, 0);
  });
  return { half: write(half), share: differing / (width * height), told: write(told) };
}
"""


class Likeness(msgspec.Struct, frozen=True):
    """What came of a comparison; pictures are PNG."""

    half: bytes
    # Of the pixels, 0 to 1; 1 where there is no golden or it has another size.
    share: float
    # The golden, the picture of now, and where they differ.
    told: bytes


async def compare(page: Page, now: bytes, golden: Path) -> Likeness:
    """Compare a picture with a golden, on an empty page of any browser."""
    kept = base64.b64encode(golden.read_bytes()).decode() if golden.is_file() else ""
    found = await page.evaluate(COMPARE, [base64.b64encode(now).decode(), kept, THRESHOLD])
    return Likeness(base64.b64decode(found["half"]), float(found["share"]), base64.b64decode(found["told"]))
