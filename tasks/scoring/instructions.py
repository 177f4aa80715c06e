"""instructions: the share of an answer's verifiable instructions that it follows (IFEval).

The target is what IFEval's data has: `{"instruction_id_list": [...], "kwargs": [{...}, ...]}`. Each
check gives what IFEval's own code gives (Zhou et al. 2023), written so that no answer takes more
than time in its length. Left out are those that need a tokeniser, a sentence splitter or a detector
of languages; `english_capital` and `english_lowercase` look at the letters, not at the language.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import Field

from tasks.scoring.base import Score, shown, unscored
from tasks.scoring.json_text import UnreadableJsonError, parse
from tasks.settings.section import Section


class InstructionsParameters(Section):
    all_or_nothing: bool = Field(
        False, description="one instruction not followed is wrong as a whole"
    )


def instructions(text: str, target: str, parameters: InstructionsParameters) -> Score:
    try:
        asked = list(_asked(parse(target)))
    except (UnreadableJsonError, TypeError, ValueError) as error:
        return unscored(f"the target {shown(target)} lists no instructions: {error}")
    unknown = sorted({name for name, _ in asked if name not in CHECKS})
    if unknown or not asked:
        return unscored(f"instructions that are not known: {', '.join(unknown) or 'none is given'}")
    notes, num_right = [], 0
    for name, given in asked:
        try:
            is_followed = CHECKS[name](text, **given)
        except (TypeError, ValueError, AttributeError) as error:
            return unscored(f"the target's values of {name} cannot be used: {error}")
        num_right += is_followed
        notes.append(f"{name} {'is' if is_followed else 'is not'} followed")
    value = num_right / len(asked)
    if parameters.all_or_nothing:
        value = float(num_right == len(asked))
    return Score(value, text.strip(), "; ".join(notes))


def _asked(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    names, given = value["instruction_id_list"], value.get("kwargs")
    for name, values in zip(names, given or [{} for _ in names], strict=True):
        yield str(name), {key: one for key, one in (values or {}).items() if one is not None}


def _related(number: int, relation: str, threshold: int) -> bool:
    if relation not in ("less than", "at least"):
        raise ValueError(f"relation {relation!r} is neither 'less than' nor 'at least'")
    return number < threshold if relation == "less than" else number >= threshold


def _no_comma(text: str) -> bool:
    return "," not in text


def _number_words(text: str, num_words: int, relation: str) -> bool:
    return _related(len(re.findall(r"\w+", text)), relation, num_words)


def _number_paragraphs(text: str, num_paragraphs: int) -> bool:
    parts = re.split(r"\s?\*\*\*\s?", text)
    if any(not part.strip() for part in parts[1:-1]):
        return False
    return sum(1 for part in parts if part.strip()) == num_paragraphs


def _nth_paragraph_first_word(
    text: str, num_paragraphs: int, nth_paragraph: int, first_word: str
) -> bool:
    parts = text.split("\n\n")
    num_parts = sum(1 for part in parts if part.strip())
    if nth_paragraph > num_parts or not parts[nth_paragraph - 1].strip():
        return False
    word = parts[nth_paragraph - 1].split(maxsplit=1)[0].lstrip("'").lstrip('"')
    found = re.split("[.,?!'\"]", word, maxsplit=1)[0].lower()
    return num_parts == num_paragraphs and found == first_word.lower()


def _existence(text: str, keywords: list[str]) -> bool:
    return all(re.search(re.escape(word), text, re.IGNORECASE) for word in keywords)


def _frequency(text: str, keyword: str, frequency: int, relation: str) -> bool:
    found = re.findall(re.escape(keyword.strip()), text, re.IGNORECASE)
    return _related(len(found), relation, frequency)


def _forbidden_words(text: str, forbidden_words: list[str]) -> bool:
    return not any(
        re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) for word in forbidden_words
    )


def _letter_frequency(text: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    return _related(text.lower().count(letter.strip().lower()), let_relation, let_frequency)


def _bullets(text: str, num_bullets: int) -> bool:
    stars = re.findall(r"^[^\S\n]*\*[^\*].*$", text, re.MULTILINE)
    dashes = re.findall(r"^[^\S\n]*-.*$", text, re.MULTILINE)
    return len(stars) + len(dashes) == num_bullets


def _highlights(text: str, num_highlights: int) -> bool:
    single = (found.strip("*") for found in re.findall(r"\*[^\n\*]*\*", text))
    double = (found[2:-2] for found in re.findall(r"\*\*[^\n\*]*\*\*", text))
    return sum(1 for one in (*single, *double) if one.strip()) >= num_highlights


def _sections(text: str, section_spliter: str, num_sections: int) -> bool:
    found = re.findall(rf"\s?{re.escape(section_spliter.strip())}\s?\d+\s?", text)
    return len(found) >= num_sections


def _json(text: str) -> bool:
    bare = text.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        bare = bare.removeprefix(fence)
    try:
        parse(bare.removesuffix("```").strip())
    except UnreadableJsonError:
        return False
    return True


def _title(text: str) -> bool:
    for line in text.split("\n"):
        start, end = line.find("<<"), line.rfind(">>")
        is_held = start >= 0 and end > start + 2
        if is_held and line[start : end + 2].lstrip("<").rstrip(">").strip():
            return True
    return False


def _constrained(text: str) -> bool:
    options = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
    return any(option in text for option in options)


def _postscript(text: str, postscript_marker: str) -> bool:
    patterns = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    marker = postscript_marker.strip()
    return re.search(patterns.get(marker, re.escape(marker.lower())), text.lower()) is not None


def _placeholders(text: str, num_placeholders: int) -> bool:
    found = 0
    for line in text.split("\n"):
        end = 0
        while (start := line.find("[", end)) >= 0 and (end := line.find("]", start) + 1) > 0:
            found += 1
    return found >= num_placeholders


def _ends(text: str, end_phrase: str) -> bool:
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def _quoted(text: str) -> bool:
    bare = text.strip()
    return len(bare) > 1 and bare[0] == bare[-1] == '"'


def _two_responses(text: str) -> bool:
    parts = [part.strip() for part in text.split("******")]
    if not all(parts[1:-1]):
        return False
    said = [part for part in parts if part]
    return len(said) == 2 and said[0] != said[1]


def _repeats(text: str, prompt_to_repeat: str) -> bool:
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def _capital(text: str) -> bool:
    return text.isupper()


def _lowercase(text: str) -> bool:
    return text.islower()


#: as IFEval names them
CHECKS: dict[str, Callable[..., bool]] = {
    "change_case:english_capital": _capital,
    "change_case:english_lowercase": _lowercase,
    "combination:repeat_prompt": _repeats,
    "combination:two_responses": _two_responses,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:constrained_response": _constrained,
    "detectable_format:json_format": _json,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:title": _title,
    "keywords:existence": _existence,
    "keywords:forbidden_words": _forbidden_words,
    "keywords:frequency": _frequency,
    "keywords:letter_frequency": _letter_frequency,
    "length_constraints:nth_paragraph_first_word": _nth_paragraph_first_word,
    "length_constraints:number_paragraphs": _number_paragraphs,
    "length_constraints:number_words": _number_words,
    "punctuation:no_comma": _no_comma,
    "startend:end_checker": _ends,
    "startend:quotation": _quoted,
}
