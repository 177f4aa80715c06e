"""What the prompts of releases take the place of in hand-written samples, before anything is asked.

What of logged calls they do is told by evaluate, which has them.
"""

from __future__ import annotations

from tasks.curate.declared import declared_lines
from tasks.errors import UsageError
from tasks.model.sample import Asked
from tasks.releases.prompts import load_prompts
from tasks.releases.replaced import sentences
from tasks.settings import Settings


def told_before(settings: Settings) -> tuple[str, ...]:
    """Sentences, release by release; of what cannot be read nothing is told: it is a problem."""
    asked = [
        Asked(name, line.task, line.conversation.system)
        for name in settings.suites
        for line in declared_lines(settings, name)
        if not isinstance(line, UsageError)
    ]
    told: list[str] = []
    for name, release in settings.releases.items():
        try:
            prompts = load_prompts(settings.path(release.prompt), name) if release.prompt else None
        except UsageError:
            continue
        told += sentences(name, prompts, asked) if prompts is not None else ()
    return tuple(told)
