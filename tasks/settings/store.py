"""Where the store is: in the state folder, or on services that several machines share."""

from __future__ import annotations

from pydantic import Field, model_validator

from tasks.settings.section import Section


class StoreSettings(Section):
    database: str = Field(
        "",
        repr=False,
        description="database that machines share, `postgresql+psycopg://USER@HOST/NAME`; empty: "
        "the store is one file in the state folder. The password: in PGPASSWORD, or set the whole "
        "address as FLYWHEEL_STORE__DATABASE",
    )
    objects: str = Field(
        "",
        description="object storage for its rows, `s3://BUCKET/PREFIX`, or a folder that all "
        "machines see, `file:///PATH`",
    )
    lease_s: float = Field(
        60.0, ge=1.0,
        description="seconds after which a machine that fell silent is taken for dead, and for "
        "which a service may be away",
    )  # fmt: skip

    @model_validator(mode="after")
    def _both_or_none(self) -> StoreSettings:
        if bool(self.database) != bool(self.objects):
            raise ValueError("`database` and `objects` are set together, or none of them")
        return self

    @property
    def is_shared(self) -> bool:
        return bool(self.database)
