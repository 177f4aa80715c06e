"""How a server runs and how much clients may ask for, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.options import EngineOptions, option

__all__ = ["API_KEY_VARIABLE", "Limits", "ServeOptions"]

API_KEY_VARIABLE = "ENGINE_API_KEY"


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
    allow_host: tuple[str, ...] = option(
        (), "name or address that clients may call it by, beside --host and loopback; repeatable"
    )
    allow_origin: tuple[str, ...] = option(
        (), "origin of web pages that may use it, as https://name:port; repeatable"
    )
    api_key: str = option(
        "", f"clients must send it as a bearer token; better set it as {API_KEY_VARIABLE}, because "
        "everyone on the machine sees command lines",
    )  # fmt: skip
    grace_s: int = option(30, "for running requests at the end")
    engine: EngineOptions = field(default_factory=EngineOptions)
    limits: Limits = field(default_factory=Limits)
