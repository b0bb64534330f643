"""Made-up answers for the semantic benchmark: those of one class say the same in other words, of two classes differ.

A class is a hash; the hash picks the facts, the request picks the wording. No answer is taken from anywhere.
"""

import hashlib

_SUBJECTS = """account archive balance barrier battery border bridge budget cable camera candle canal carbon ceiling
channel circuit climate clinic coast column comet copper cotton council crystal curtain desert diesel dollar engine
fabric falcon ferry filter forest fossil garden glacier granite harbour harvest helmet island jacket journal kettle
ladder lantern ledger lemon library magnet market meadow membrane mercury meteor mirror museum needle oxygen packet
paint palace paper pepper permit pigment pillar planet plaster pocket pollen printer protein pump quarry radar railway
reactor ribbon river rocket saddle salmon satellite scanner shelter signal silver sponge statue storm sugar tablet tax
temple tenant theatre thread ticket timber tower tractor treaty tunnel turbine valley vaccine velvet vessel vinegar
violin visa volcano voucher wallet walnut warehouse whale wheat window winter wool yoghurt zinc""".split()
_VERBS = """adjust assemble balance borrow check clean collect compare compress connect count cover deliver divide drain
dry export fasten file fold freeze gather grind heat import inspect label lift load measure melt mix move open order
paint plant polish press protect pull push record reduce remove rent repair replace rinse roll scan seal sell sew shift
shorten smooth soak sort split spread stack store stretch swap test tighten track train transfer trim turn update wash
weigh wrap""".split()
_QUALITIES = """amber annual basic blue brittle broad central clear coastal cold common cubic dense digital domestic dry
early eastern empty even external faint fast final firm flat foreign formal fragile free fresh frozen gentle global
golden green heavy hidden hollow humid inner joint legal light liquid local loose lower major manual marine mild minor
mobile narrow native neutral northern open outer partial plain portable private public pure quiet rapid rare raw remote
rigid rough royal rural safe senior sharp silent slow smooth social solar solid southern steep strict subtle sweet thick
thin tropical urban vacant vague visible warm western white wide wild wooden young""".split()

_STYLES: tuple[tuple[str, ...], ...] = (
    (
        "You should {v1} the {q1} {s1} first and then {v2} the {s2}.",
        "First {v1} the {q1} {s1}; after that, {v2} the {s2}.",
        "Start by choosing to {v1} the {q1} {s1}. Once that is done, {v2} the {s2}.",
        "The usual way: {v1} the {q1} {s1}, followed by a moment to {v2} the {s2}.",
    ),
    (
        "It depends on the {q1} {s1}: about {n} {s2}s a year, mostly {q2} ones.",
        "About {n} {s2}s a year, most of them {q2}, depending on the {q1} {s1}.",
        "That is set by the {q1} {s1}. Expect roughly {n} {s2}s each year, largely {q2}.",
        "Roughly {n} {s2}s, mainly {q2}, in a year; the {q1} {s1} decides.",
    ),
    (
        "Yes, because the {q1} {s1} can {v1} a {q2} {s2}.",
        "Yes. The reason is that a {q2} {s2} is something the {q1} {s1} can {v1}.",
        "Indeed it is so: the {q1} {s1} is able to {v1} a {q2} {s2}.",
        "The answer is yes, as the {q1} {s1} may {v1} a {q2} {s2}.",
    ),
    (
        "The {s1} of {q1} {s2}.",
        "It is the {s1} of {q1} {s2}.",
        "That would be the {q1} {s2}'s {s1}.",
        "Most people name the {s1} of {q1} {s2}.",
    ),
)


def _draw(class_id: str, name: str, most: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{class_id}/{name}".encode(), digest_size=8).digest(), "big") % most


def write_answer(class_id: str, number: int) -> str:
    """Return the answer to the request of this number: the same text for the same class, number and nothing else."""
    style = _STYLES[_draw(class_id, "style", len(_STYLES))]
    facts = {
        "s1": _SUBJECTS[_draw(class_id, "s1", len(_SUBJECTS))],
        "s2": _SUBJECTS[_draw(class_id, "s2", len(_SUBJECTS))],
        "v1": _VERBS[_draw(class_id, "v1", len(_VERBS))],
        "v2": _VERBS[_draw(class_id, "v2", len(_VERBS))],
        "q1": _QUALITIES[_draw(class_id, "q1", len(_QUALITIES))],
        "q2": _QUALITIES[_draw(class_id, "q2", len(_QUALITIES))],
        "n": str(2 + _draw(class_id, "n", 97)),
    }
    return style[number % len(style)].format(**facts)
