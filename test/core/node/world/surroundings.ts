import type { Clock, Logger, Random } from "../../../../src/core/node/index.ts";
import { NodeClock } from "../../raft/harness/clock.ts";
import type { Prng } from "../../raft/harness/prng.ts";
import type { Life } from "./life.ts";
import type { World } from "./world.ts";

/** Where the wall clock stands when a run begins. */
const EPOCH_MS = 1_700_000_000_000;

/** A node's clock: an origin of its own, and perhaps a rate of its own. Its timers end with its life. */
export function clockOf(world: World, life: Life, startMs: number, rate: number): Clock {
  const clock = new NodeClock(startMs, world.nowMs, rate);
  const nowMs = (): number => clock.nowMs(world.nowMs);
  return {
    nowMs,
    wallMs: () => EPOCH_MS + world.nowMs,
    setTimer(delayMs, callback) {
      if (!life.isAlive) return () => {};
      if (!Number.isFinite(delayMs)) throw new Error(`a timer of ${delayMs} ms`);
      const atMs = clock.worldMsAt(nowMs() + delayMs, world.nowMs);
      return world.schedule(atMs - world.nowMs, life, callback);
    },
  };
}

export function randomOf(prng: Prng): Random {
  return {
    next: () => prng.next(),
    id: () => (BigInt(prng.int(2 ** 32)) << 32n) | BigInt(1 + prng.int(2 ** 32 - 1)),
  };
}

/** Log lines become part of the run's hash, and can be looked at after a failure. */
export function loggerOf(world: World, node: bigint, lines: string[]): Logger {
  return {
    log(level, message, fields) {
      const text = fields === undefined ? "" : ` ${JSON.stringify(fields, showBigInts)}`;
      const line = `${world.nowMs} n${node} ${level} ${message}${text}`;
      world.note(line);
      lines.push(line);
    },
  };
}

function showBigInts(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
