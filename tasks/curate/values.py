"""What tells two questions apart however alike their words are: the values that stand in them.

Two texts are compared by their words only where their values are the same, in the same order. A
value is a word that holds a digit (numbers, ids, codes, amounts, dates, versions), an address
(e-mail, web, path, a name_with_underscores), text in quotation marks, a sign of mathematics or
currency, a pictogram (a smile and a frown are two moods), and a word that negates. Too many
values keep true near-duplicates apart, which costs places; too few delete questions. Names and
other plain words cannot be told from wording by their form: what the right answer is (dedup.py)
and what stands in the same slot of a template (shingles.py) tells those apart.
"""

from __future__ import annotations

import re
import unicodedata

from tasks.curate.shingles import UNBROKEN, hash_of

#: between two of the same kind, or the one that closes it; what they quote is one value
_QUOTED = re.compile(
    r""""([^"]*)"|“([^“”]*)”|«([^«»]*)»|„([^„“]*)“|「([^「」]*)」|`([^`]*)`|(?<!\w)'([^']*)'(?!\w)"""
)
_OPENING = re.compile(r"""["“«„「`']""")
#: a run without blanks, or one character of a script that is written without
_RUN = re.compile(rf"[{UNBROKEN}]|[^\s{UNBROKEN}]+")
_ADDRESS = re.compile(r"[@/\\_]|www\.")
_WORD = re.compile(r"\w+")
#: around a word, these are of the sentence
_OF_THE_SENTENCE = ".,;:!?…。、'\"“”„‘’‚«»()[]{}「」`*"
#: mathematics, currency, pictograms; not modifiers, which stand in for accents
_SIGNS = frozenset({"Sm", "Sc", "So"})
_NEGATING_WORDS = (
    "not no never none neither nor without cannot cant dont isnt wont t "
    "nicht nichts nie niemals kein keine keinen keinem keiner keines ohne "
    "ne pas jamais sans aucun aucune rien nunca jamás sin ningún ninguna nada "
    "não nem sem nenhum nenhuma non senza mai nessun nessuna niet geen nooit zonder "
    "inte aldrig utan ikke aldri uden ei ole ilman nem nincs nélkül "
    "не нет ни без никогда нельзя nie nigdy bez żaden ne není nikdy değil yok asla "
    "لا ليس لم لن بدون לא אין בלי नहीं मत बिना কখনো না không chưa tidak bukan tanpa "
    "不 没 沒 无 無 未 否 非 别 別 안 못 없이"
)
_NEGATIONS = frozenset(_NEGATING_WORDS.split())


class _Values(dict[str, tuple[str, ...]]):
    """The values in a run of characters, worked out when it is first met."""

    def __missing__(self, run: str) -> tuple[str, ...]:
        word = run.strip(_OF_THE_SENTENCE)
        if any(map(str.isnumeric, word)) or _ADDRESS.search(word):
            values: tuple[str, ...] = (word,)
        else:
            parts = (word,) if word in _NEGATIONS else _WORD.findall(run)
            values = tuple(part for part in parts if part in _NEGATIONS)
            values += tuple(c for c in run if unicodedata.category(c) in _SIGNS)
        self[run] = values
        return values


class ValueReader:
    """Reads the values of many texts; remembers the words it has met."""

    def __init__(self) -> None:
        self._of_run = _Values()

    def values(self, text: str) -> tuple[str, ...]:
        """The values of a normalised text in their order. Linear in its length."""
        of_run = self._of_run
        values = [value for run in _RUN.findall(text) if (found := of_run[run]) for value in found]
        if _OPENING.search(text):
            values += ["".join(quoted) for quoted in _QUOTED.findall(text)]
        return tuple(values)

    def key(self, text: str) -> int:
        """64 bits that are equal where the values are."""
        values = self.values(text)
        return hash_of("\n".join(values)) if values else 0
