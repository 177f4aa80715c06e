"""How a server runs and how much clients may ask for, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.options import EngineOptions, option

__all__ = ["Limits", "ServeOptions"]


@dataclass(frozen=True, slots=True)
class Limits:
    max_requests: int = option(512, "running or waiting, of all clients; then 429")
    max_body_bytes: int = option(8 << 20, "larger ones get 413")


@dataclass(frozen=True, slots=True)
class ServeOptions:
    model: str
    host: str = option("127.0.0.1", "address to listen on")
    port: int = option(8000, "0: any that is free")
    name: str = option("", "of the model, for clients; empty: the last part of its path")
    grace_s: int = option(30, "for running requests at the end")
    engine: EngineOptions = field(default_factory=EngineOptions)
    limits: Limits = field(default_factory=Limits)
