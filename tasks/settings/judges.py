"""What flywheel.toml says of judges: models that score what releases answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tasks.settings.section import Section

JudgeKind = Literal["pointwise", "pairwise", "reference"]
#: stands in the name of scores, where `@` and `(` have a meaning
JudgeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=60)]
_MAX_STEPS = 100


class JudgeSettings(Section):
    release: str = Field(
        "", description="of [releases.NAME]: model, sampling and engine, or API; not its prompt"
    )
    kind: JudgeKind = Field(
        "pointwise",
        description="pointwise: one answer; reference: one beside the target; pairwise: both "
        "answers, in both orders",
    )
    rubric: str = Field("", description="what a good answer is: a text, or a .md or .txt file")
    scale: tuple[int, int] = Field(
        (1, 5), strict=False, description="lowest and highest score; of pairwise without meaning"
    )
    structured: bool = Field(
        False,
        description="its answer must follow a JSON schema, by the engine (needs [structured]) or "
        "the API",
    )
    max_tokens: int = Field(256, ge=1, description="tokens of its answer, instead of the release's")
    panel: tuple[str, ...] = Field(
        (), strict=False, description="instead of a release: other judges, all of this kind"
    )
    combine: Literal["mean", "majority"] = Field(
        "mean", description="of a panel; majority: what more than half of it say, else the mean"
    )
    labels: str = Field(
        "", description="JSON lines of answers with the verdict of people; empty: feedback"
    )
    max_labels: int = Field(500, ge=1, description="labels it is asked about, at most")
    min_labels: int = Field(50, ge=3, description="with fewer it informs and does not gate")
    min_kappa: float = Field(
        0.4, ge=-1, le=1, description="so must the lower end of kappa's interval with people be"
    )
    max_flip_rate: float = Field(
        0.2, ge=0, le=1, description="pairs on which the order of the answers changes the verdict"
    )
    max_parse_failures: float = Field(
        0.05, ge=0, le=1, description="share of its answers that cannot be read"
    )

    replaces: str = Field(
        "", description="version before it (judge:NAME@…) that it may disagree with: you say so"
    )

    @model_validator(mode="after")
    def _is_whole(self) -> JudgeSettings:
        low, high = self.scale
        if not low < high <= low + _MAX_STEPS:
            raise ValueError(f"scale is lowest and highest, at most {_MAX_STEPS} apart")
        if bool(self.release) == bool(self.panel):
            raise ValueError("a judge has a `release` or a `panel`, one of both")
        if self.release and not self.rubric.strip():
            raise ValueError("a judge needs a `rubric`: what a good answer is")
        if self.panel and (len(set(self.panel)) < 2 or len(set(self.panel)) < len(self.panel)):
            raise ValueError("a panel has two judges or more, each once")
        strange = ("rubric", "scale", "structured", "max_tokens") if self.panel else ("combine",)
        for name in strange:
            if name in self.model_fields_set:
                raise ValueError(f"`{name}` is {'not ' if self.panel else ''}of a panel")
        return self
