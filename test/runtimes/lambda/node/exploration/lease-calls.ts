import { EngineError } from "../../../../../src/core/errors/index.ts";
import type { LambdaEngine } from "../../../../../src/runtimes/lambda/node/lambda-engine.ts";
import type { Prng } from "../../../../core/raft/harness/prng.ts";
import { bytesOf } from "../../../../sim/workloads/kv-requests.ts";
import { keyOf, type LeaseLedger } from "./lease-ledger.ts";

/** One client's requests about leases, each within one invocation; what it is told goes into the ledger. */
export interface LeaseCall {
  readonly engine: LambdaEngine;
  readonly ledger: LeaseLedger;
  readonly nowMs: () => number;
}

/** Grants a lease with a key, renews one, or looks whether it is still there. */
export async function callLease(call: LeaseCall, prng: Prng): Promise<void> {
  const { living, all } = call.ledger;
  const kind = prng.next();
  if (living.length === 0 || kind < 0.2) return await grant(call);
  // Also of one that is over, which is to stay so.
  const id = prng.pick([...(prng.chance(0.7) ? living : all)]);
  if (kind < 0.65) await renew(call, id);
  else await look(call, id);
}

/** Whether it is there, and its key. */
export async function look({ engine, ledger, nowMs }: LeaseCall, id: bigint): Promise<void> {
  const hadKey = ledger.hasKey(id);
  const sentMs = nowMs();
  const { remainingMs } = await engine.leaseTimeToLive({ id });
  if (remainingMs < 0) ledger.gone(id, nowMs());
  else ledger.alive(id, sentMs);
  if (!hadKey) return;
  const { kvs } = await engine.range({ key: bytesOf(keyOf(id)) });
  if (kvs.length === 0) ledger.gone(id, nowMs());
}

async function grant({ engine, ledger, nowMs }: LeaseCall): Promise<void> {
  const id = ledger.newId();
  const sentMs = nowMs();
  await engine.leaseGrant({ id, ttlMs: ledger.ttlMs });
  ledger.granted(id, sentMs);
  try {
    await engine.put({ key: bytesOf(keyOf(id)), value: bytesOf("held"), lease: id });
    ledger.attached(id);
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== "leaseNotFound") throw error;
    ledger.gone(id, nowMs());
  }
}

async function renew({ engine, ledger, nowMs }: LeaseCall, id: bigint): Promise<void> {
  const sentMs = nowMs();
  const { ttlMs } = await engine.leaseKeepAlive(id);
  if (ttlMs > 0) ledger.renewed(id, sentMs);
  else ledger.gone(id, nowMs());
}
