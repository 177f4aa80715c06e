"""Settings: flywheel.toml, read once at the edge and passed down as frozen values.

An unknown key is an error that names the nearest known one. Any value can be overridden by an
environment variable: FLYWHEEL_GATE__MARGIN=0.02 sets [gate] margin. Relative paths are relative to
the folder of the file they stand in.
"""

from tasks.settings.hosted import BudgetSettings, RequestSettings
from tasks.settings.judges import JudgeKind, JudgeSettings
from tasks.settings.reading import find_config, parse_settings, read_settings
from tasks.settings.sections import (
    CONFIG_NAME,
    SAMPLING_NAMES,
    CurateSettings,
    DriftSettings,
    EngineSettings,
    GuardrailSettings,
    IngestSettings,
    PriceSettings,
    ReleaseSettings,
    SamplingSettings,
    Settings,
    SuiteSettings,
    ValidateSettings,
)

__all__ = [
    "CONFIG_NAME",
    "SAMPLING_NAMES",
    "BudgetSettings",
    "CurateSettings",
    "DriftSettings",
    "EngineSettings",
    "GuardrailSettings",
    "IngestSettings",
    "JudgeKind",
    "JudgeSettings",
    "PriceSettings",
    "ReleaseSettings",
    "RequestSettings",
    "SamplingSettings",
    "Settings",
    "SuiteSettings",
    "ValidateSettings",
    "find_config",
    "parse_settings",
    "read_settings",
]
