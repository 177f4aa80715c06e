"""What can go wrong, as one tree; each class says of which kind it is, and the kind whether trying
again can help.

    EngineError               REQUEST     the call is wrong: a device, an option that is not there
    ├── InvalidRequestError   REQUEST     types, parameters, token ids, roles, schemas
    │   └── RequestTooLongError  TOO_LONG    it does not fit into the model's context
    ├── ModelLoadError        MODEL       not a model, missing shard, missing or unexpected key, …
    │   ├── UnsupportedModelError  MODEL     nothing here knows its architecture or a setting of it
    │   └── ModelFetchError      MACHINE     the hub could not be reached
    ├── NotFiniteError        NOT_FINITE  the model's logits are NaN or infinite
    ├── CapacityError         CAPACITY    it does not fit into the KV cache of this machine
    ├── DeviceError           DEVICE      a step ran out of memory or broke in a kernel
    └── MachineError          MACHINE     a package is not installed, a process has ended, a bug of
                                          ours or of a library

A fault of one request is never raised by `generate` or `score`: it is the `error` (for people) and
the `fault` (for programs) of that request's `Completion` or `Score`, and every other request
finishes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

__all__ = [
    "CapacityError",
    "DeviceError",
    "EngineError",
    "FaultKind",
    "InvalidRequestError",
    "MachineError",
    "ModelFetchError",
    "ModelLoadError",
    "NotFiniteError",
    "RequestTooLongError",
    "UnsupportedModelError",
    "failure_of",
    "shorten",
]


class FaultKind(StrEnum):
    """Terminal: the request, its parameters or the model are so, and the next try ends the same.
    Transient: this machine was so at that moment; the answer of the model is not known.
    """

    REQUEST = "request"
    TOO_LONG = "too_long"
    MODEL = "model"
    NOT_FINITE = "not_finite"
    #: transient, because by default the cache is a share of the memory that is free just then
    CAPACITY = "capacity"
    DEVICE = "device"
    MACHINE = "machine"

    @property
    def is_transient(self) -> bool:
        return self in (FaultKind.CAPACITY, FaultKind.DEVICE, FaultKind.MACHINE)


class EngineError(Exception):
    """Root of every error the engine raises on purpose: what happened, what was received, what is
    allowed.
    """

    kind: ClassVar[FaultKind] = FaultKind.REQUEST

    @property
    def is_transient(self) -> bool:
        return self.kind.is_transient


class InvalidRequestError(EngineError):
    pass


class RequestTooLongError(InvalidRequestError):
    kind = FaultKind.TOO_LONG


class ModelLoadError(EngineError):
    kind = FaultKind.MODEL


class UnsupportedModelError(ModelLoadError):
    pass


class ModelFetchError(ModelLoadError):
    kind = FaultKind.MACHINE


class NotFiniteError(EngineError):
    kind = FaultKind.NOT_FINITE


class CapacityError(EngineError):
    kind = FaultKind.CAPACITY


class DeviceError(EngineError):
    kind = FaultKind.DEVICE


class MachineError(EngineError):
    kind = FaultKind.MACHINE


def failure_of(error: BaseException) -> EngineError:
    """What one request is told of whatever was raised while it was looked at. Raises `error` anew
    where it is no fault but an order to stop.
    """
    if isinstance(error, EngineError):
        return error
    # a panic in one of the Rust libraries is no Exception, so that nobody catches it by accident
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error
    reason = (str(error).splitlines() or [""])[0][:300]
    told = f"{type(error).__name__}: {reason}"
    if isinstance(error, (RuntimeError, MemoryError)):
        return DeviceError(f"This machine failed on the request: {told}")
    return MachineError(f"The engine failed on this request: {told}")


def shorten(names: list[str], limit: int = 5) -> str:
    """Names for an error message: the first few, and how many more there are."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
