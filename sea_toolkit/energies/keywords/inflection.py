"""Inflected forms of English words, by rule and by a list of common irregular ones.

More is better than less here: a form that English does not have ("runned") is in no text and does no harm.
"""

from __future__ import annotations

_IRREGULAR = """
be am is are was were been being; have has had having; do does did done doing; go goes went gone going; say said
make made; take took taken; come came; see saw seen; get got gotten; give gave given; find found; think thought
tell told; become became; leave left; feel felt; bring brought; begin began begun; keep kept; hold held
write wrote written; stand stood; hear heard; let let letting; mean meant; set set setting; meet met; run ran
pay paid; sit sat; speak spoke spoken; lie lay lain lying; lead led; read; grow grew grown; lose lost
fall fell fallen; send sent; build built; understand understood; draw drew drawn; break broke broken; spend spent
cut cut cutting; rise rose risen; drive drove driven; buy bought; wear wore worn; choose chose chosen
catch caught; throw threw thrown; ride rode ridden; eat ate eaten; drink drank drunk; sing sang sung
swim swam swum; fly flew flown; teach taught; fight fought; sleep slept; win won; hit hit hitting; put put putting
shoot shot; shake shook shaken; hang hung; ring rang rung; blow blew blown; know knew known; show showed shown
sell sold; light lit; stick stuck; strike struck; sweep swept; swing swung; spin spun; slide slid; dig dug
feed fed; bend bent; bite bit bitten; hide hid hidden; tear tore torn; wake woke woken; freeze froze frozen
steal stole stolen; lay laid; lend lent; kneel knelt; leap leapt; lean leant; burn burnt; bleed bled; bind bound
creep crept; deal dealt; dive dove; forget forgot forgotten; forgive forgave forgiven; grind ground; shine shone
shrink shrank shrunk; sink sank sunk; spread spread; spring sprang sprung; weave wove woven; weep wept; wind wound
split split splitting; shut shut shutting; cast cast; cost cost; hurt hurt; beat beaten; man men; woman women
child children; person people persons; foot feet; tooth teeth; goose geese; mouse mice; ox oxen; leaf leaves
knife knives; life lives; wife wives; half halves; shelf shelves; wolf wolves; loaf loaves; thief thieves
calf calves; scarf scarves; elf elves; hoof hooves; self selves; fish fish fishes; sheep; deer; potato potatoes
tomato tomatoes; hero heroes
"""
IRREGULAR: dict[str, list[str]] = {
    words[0]: words[1:] for words in (entry.split() for entry in _IRREGULAR.replace("\n", ";").split(";")) if words
}
"""Base form to the forms that no rule gives."""

VOWELS = "aeiou"


def inflections(word: str) -> list[str]:
    """The word and its plural, third person, past and -ing forms, in lower case.

    The rules: `-s`, and `-es` after s, x, z, ch, sh and o; `-ed` and `-ing`; a final e goes; y after a consonant
    becomes ie; ie becomes y before -ing; a final consonant after a single vowel is doubled or not. A word that is not
    plain English letters is left as it is.
    """
    base = word.lower()
    if not (base.isascii() and base.isalpha() and len(base) > 1):
        return [base]
    found = [base, *IRREGULAR.get(base, []), *_with_s(base)]
    for stem in _stems(base):
        found += [stem + "ed", stem + "ing"]
    if base[-1] == "y" and base[-2] not in VOWELS:
        found.append(base[:-1] + "ied")
    if base.endswith("ie"):
        found += [base[:-2] + "ying", base + "d"]
    return list(dict.fromkeys(found))


def _with_s(base: str) -> list[str]:
    if base[-1] == "y" and base[-2] not in VOWELS:
        return [base[:-1] + "ies"]
    if base.endswith(("s", "x", "z", "ch", "sh")):
        return [base + "es"]
    return [base + "s", base + "es"] if base.endswith("o") else [base + "s"]


def _stems(base: str) -> list[str]:
    """What -ed and -ing are put on."""
    if base[-1] == "e":
        return [base[:-1], base] if base.endswith(("ee", "oe", "ye")) else [base[:-1]]
    single = len(base) > 2 and base[-2] in VOWELS and base[-3] not in VOWELS
    return [base, base + base[-1]] if single and base[-1] not in "aeiouwxy" else [base]
