"""[[calendar]]: when a provider ends a model, beside what tasks/releases/retirements.toml knows."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from tasks.settings.hosted import Api
from tasks.settings.section import Section


class CalendarEntry(Section):
    model: str = Field(min_length=1, description="the name the API knows it by")
    retires_on: date = Field(strict=False, description="first day on which it answers no more")
    api: Api = Field("openai", description="whose API it is: openai, anthropic, gemini")
    successor: str = Field("", description="model that its provider recommends instead")
    source: str = Field("", description="where the provider says so")
