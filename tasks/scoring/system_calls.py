"""Which system calls a sandboxed program is refused, as a filter for the kernel (seccomp, classic
BPF, as seccomp(2) and linux/filter.h define it).

Refused is what starts a process: one process has one limit of address space, and leaves nothing
behind. So is what makes memory that no limit counts (memfd, System V), and doors of the kernel that
no answer needs. Threads are allowed.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterable

#: what audit calls the machine, in linux/audit.h, and the numbers of its calls, in its unistd.h
_MACHINES = {
    "x86_64": (0xC000003E, 0),
    "aarch64": (0xC00000B7, 1),
}
_ABSENT = -1
#: name → number on x86_64, on aarch64
_REFUSED = {
    "fork": (57, _ABSENT), "vfork": (58, _ABSENT),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "pidfd_getfd": (438, 438),
    "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190),
    "unshare": (272, 97), "setns": (308, 268), "chroot": (161, 51), "pivot_root": (155, 41),
    "mount": (165, 40), "umount2": (166, 39), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsmount": (432, 432), "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265), "personality": (135, 92),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
}  # fmt: skip
_CLONE, _CLONE3 = (56, 220), 435
_CLONE_THREAD = 0x10000
#: numbers from here on are another interface of x86_64, with the same calls
_X32 = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
#: where struct seccomp_data has them; of an argument the lower half, as both machines lay it out
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16


class UnknownMachineError(Exception):
    """There is no filter for this processor; for people."""


def refusing_filter(machine: str = "") -> bytes:
    """An array of struct sock_filter. Raises UnknownMachineError."""
    machine = machine or platform.machine()
    if machine not in _MACHINES:
        known = ", ".join(_MACHINES)
        raise UnknownMachineError(f"no filter of system calls for {machine}, only for {known}")
    audit, column = _MACHINES[machine]
    refused = [numbers[column] for numbers in _REFUSED.values() if numbers[column] != _ABSENT]
    program = [
        (_LOAD, 0, 0, _MACHINE),
        (_EQUAL, 1, 0, audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
        # its flags lie in memory, out of reach: who is told there is none falls back to clone
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
        (_EQUAL, 0, 4, _CLONE[column]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, _FAIL | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
        *_refusals(refused),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _refusals(numbers: Iterable[int]) -> Iterable[tuple[int, int, int, int]]:
    for number in numbers:
        yield (_EQUAL, 0, 1, number)
        yield (_RETURN, 0, 0, _FAIL | errno.EPERM)
