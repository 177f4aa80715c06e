"""How long a pool of actors takes: a model without Ray, whose shards real code gives out.

    python -m benchmarks.ray_model                 the table of docs/ray.md, in a second

Time is virtual. An actor answers at a steady rate, of which a straggler has a share; a shard costs
what it takes to hand over, and once the prefix that its asks share where this actor does not have
it; a chunk ends for all before the next begins, and is then kept. An actor that dies loses the
shard that it is at, and is away until it has its model again. Which actor answers which shard next
is decided by tasks/backends/pool/dispatch.py itself, as in a run. benchmarks/ray_eval.py holds the
model against the clock.
"""

from __future__ import annotations

import argparse
import heapq
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.results import FOLDER, header, write
from tasks.backends.pool.dispatch import Dispatch, Shard


@dataclass(frozen=True, slots=True)
class World:
    """`speeds`: of each actor, 1.0 the rate `asks_per_s`. `deaths`: (actor, at which second);
    `rounds`: shards an actor of a chunk, each of `shard_asks`; `prefix_asks`: neighbours that share
    a prefix, which takes `prefix_s` to compute."""

    num_asks: int
    asks_per_s: float
    speeds: tuple[float, ...] = (1.0,)
    shard_asks: int = 64
    rounds: int = 4
    shard_s: float = 0.0
    chunk_s: float = 0.0
    start_s: float = 0.0
    restart_s: float = 15.0
    deaths: tuple[tuple[int, float], ...] = ()
    prefix_asks: int = 0
    prefix_s: float = 0.0


@dataclass(slots=True)
class Took:
    """Seconds from the command to the last answer; what actors did twice; prefixes computed."""

    seconds: float = 0.0
    asks_again: int = 0
    num_prefixes: int = 0
    busy_s: list[float] = field(default_factory=list)


def makespan(world: World) -> Took:
    num_actors = len(world.speeds)
    took = Took(seconds=world.start_s, busy_s=[0.0] * num_actors)
    deaths = [sorted(at for actor, at in world.deaths if actor == n) for n in range(num_actors)]
    cached: list[set[int]] = [set() for _ in range(num_actors)]
    ready = [world.start_s] * num_actors
    size = num_actors * world.rounds * world.shard_asks
    for first in range(0, world.num_asks, size):
        chunk = range(first, min(first + size, world.num_asks))
        shards = [tuple(chunk[a : a + world.shard_asks])
                  for a in range(0, len(chunk), world.shard_asks)]  # fmt: skip
        begins = took.seconds
        ready = [max(begins, at) for at in ready]
        ends = _chunk(world, shards, ready, deaths, cached, took)
        took.seconds = ends + world.chunk_s
    return took


def _chunk(
    world: World,
    shards: Sequence[tuple[int, ...]],
    ready: list[float],
    deaths: list[list[float]],
    cached: list[set[int]],
    took: Took,
) -> float:
    """When the last shard of a chunk is done. `ready`: from when each actor is free."""
    dispatch = Dispatch(shards, len(ready))
    # (time, actor, shard that ends then or None, whether it died)
    events: list[tuple[float, int, Shard | None, bool]] = []
    for actor, at in enumerate(ready):
        heapq.heappush(events, (at, actor, None, False))
    idle: set[int] = set()
    now = 0.0
    while not dispatch.is_done:
        now, actor, shard, died = heapq.heappop(events)
        if shard is not None and died:
            dispatch.died(shard)
            took.asks_again += len(shard.places)
            cached[actor].clear()
            ready[actor] = now + world.restart_s
            heapq.heappush(events, (ready[actor], actor, None, False))
            free = sorted(idle)
        else:
            if shard is not None:
                dispatch.finished()
            free = sorted(idle | {actor})
        idle = set(free)
        for each in free:
            if (given := dispatch.take(each)) is None:
                continue
            idle.discard(each)
            begins = max(now, ready[each])
            ends = begins + _shard_s(world, given, each, cached[each], took)
            died_at = next((at for at in deaths[each] if begins <= at < ends), None)
            if died_at is not None:
                deaths[each].remove(died_at)
            ready[each] = ends if died_at is None else died_at
            took.busy_s[each] += ready[each] - begins
            heapq.heappush(events, (ready[each], each, given, died_at is not None))
    return now


def _shard_s(world: World, shard: Shard, actor: int, cached: set[int], took: Took) -> float:
    seconds = world.shard_s + len(shard.places) / (world.asks_per_s * world.speeds[actor])
    if world.prefix_asks:
        for group in {place // world.prefix_asks for place in shard.places} - cached:
            cached.add(group)
            took.num_prefixes += 1
            seconds += world.prefix_s / world.speeds[actor]
    return seconds


def scenarios() -> dict[str, World]:
    """Ten thousand answers of a model that gives 20 a second, a start of 20 s."""
    plain = World(10_000, 20.0, (1.0,), start_s=20.0, chunk_s=0.5, shard_s=0.01)
    eight = replace(plain, speeds=(1.0,) * 8)
    slow = (1.0,) * 7 + (0.25,)
    return {
        "1 actor": plain,
        "2 actors": replace(plain, speeds=(1.0,) * 2),
        "8 actors": eight,
        "8 actors, 1 shard each of a chunk": replace(eight, rounds=1),
        "8 actors, one at a quarter of the speed": replace(eight, speeds=slow),
        "the same, 1 shard each of a chunk": replace(eight, speeds=slow, rounds=1),
        "8 actors, one dies every 20 s": replace(
            eight, deaths=tuple((n % 8, 25.0 + 20 * n) for n in range(40))
        ),
        "8 actors, prefixes of 200 asks (4 s each)": replace(eight, prefix_asks=200, prefix_s=4.0),
        "1 actor, prefixes of 200 asks (4 s each)": replace(plain, prefix_asks=200, prefix_s=4.0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FOLDER / "ray-model.json")
    out: Path = parser.parse_args().out
    rows = []
    for name, world in scenarios().items():
        took = makespan(world)
        ideal = world.start_s + world.num_asks / (world.asks_per_s * math.fsum(world.speeds))
        rows.append(
            {"name": name, "world": asdict(world), "seconds": round(took.seconds, 1),
             "without_any_loss": round(ideal, 1), "asks_again": took.asks_again,
             "num_prefixes": took.num_prefixes}
        )  # fmt: skip
        print(f"{name:<44} {took.seconds:7.1f} s  ideal {ideal:6.1f} s  again {took.asks_again}")
    write({**header(), "rows": rows}, out, "ray-model")


if __name__ == "__main__":
    main()
