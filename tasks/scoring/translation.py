"""bleu and chrf of one sentence against its target, as sacrebleu computes them, from 0 to 1."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from pydantic import Field

from tasks.scoring.base import Score, shown, unscored, wrong
from tasks.settings.section import Section


class BleuParameters(Section):
    tokenize: Literal["13a", "intl", "char", "zh", "none"] = Field(
        "13a", description="how sacrebleu splits a text into words"
    )
    lowercase: bool = Field(False, description="whatever the case")


class ChrfParameters(Section):
    word_order: int = Field(0, ge=0, le=4, description="0: chrF; 2: chrF++, which counts words too")
    lowercase: bool = Field(False, description="whatever the case")


def bleu(text: str, target: str, parameters: BleuParameters) -> Score:
    return _score(text, target, _bleu(parameters))


def chrf(text: str, target: str, parameters: ChrfParameters) -> Score:
    return _score(text, target, _chrf(parameters))


def _score(text: str, target: str, metric: Any) -> Score:
    if not target.strip():
        return unscored("the target is empty")
    answer = text.strip()
    if not answer:
        return wrong(answer, "the answer is empty")
    value = metric.sentence_score(answer, [target.strip()]).score / 100
    note = f"{shown(answer)} against {shown(target)}; {metric.get_signature()}"
    return Score(min(max(value, 0.0), 1.0), answer, note)  # rounding may pass 1 by an ulp


@lru_cache
def _bleu(parameters: BleuParameters) -> Any:
    from sacrebleu.metrics import BLEU

    return BLEU(tokenize=parameters.tokenize, lowercase=parameters.lowercase, effective_order=True)


@lru_cache
def _chrf(parameters: ChrfParameters) -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF(word_order=parameters.word_order, lowercase=parameters.lowercase)
