import { EngineError } from "../../errors/index.ts";
import { compareBytes } from "../../bytes/index.ts";
import type { KeyValue, Revision } from "../../kv/index.ts";
import type { WithHeader } from "../engine.ts";
import { reachHead } from "./lock.ts";
import { firstInLine, leave, lineOf, type QueueEngine, takePlace, withLease } from "./queue.ts";

/** etcd's v3electionpb.LeaderKey: proof of having been elected. */
export interface LeaderKey {
  readonly name: Uint8Array;
  readonly key: Uint8Array;
  /** The key's create revision: also a fencing token, as of a lock. */
  readonly revision: Revision;
  readonly lease: bigint;
}

/** etcd's v3electionpb.CampaignRequest. */
export interface CampaignRequest {
  readonly name: Uint8Array;
  /** Leadership ends with this lease. 0n or absent: one of 60 s is granted. */
  readonly lease?: bigint;
  /** What the candidate proclaims once it leads. */
  readonly value?: Uint8Array;
}

/** etcd's v3electionpb.LeaderResponse: who leads. `kv.value` is what the leader proclaims, `kv.key` is its own key. */
export interface LeaderResponse extends WithHeader {
  readonly kv: KeyValue;
}

/**
 * Waits to be elected: in the order of those who campaign. Asked again with the same lease it is the same candidate,
 * with the new value. Who gives up (`signal`) is no candidate any more.
 *
 * @throws EngineError `leaseNotFound`; `sessionExpired` when the lease went while waiting; `canceled`.
 */
export async function campaign(
  engine: QueueEngine,
  { name, lease = 0n, value = NOTHING }: CampaignRequest,
  signal?: AbortSignal,
): Promise<{ readonly leader: LeaderKey } & WithHeader> {
  return await withLease(engine, lease, async (id) => {
    const place = await takePlace(engine, name, id, value, false);
    // Without `onlyFirst` there is always a place.
    if (place === null) throw new EngineError("sessionExpired");
    const leader = { name, key: place.key, revision: place.revision, lease: id };
    if (compareBytes(place.value, value) !== 0) await proclaim(engine, leader, value);
    await reachHead(engine, name, place, signal);
    return { leader, header: engine.header() };
  });
}

/** Changes what the leader proclaims. @throws EngineError `notElected` when it does not lead (any more). */
export async function proclaim(
  engine: QueueEngine,
  { key, revision, lease }: LeaderKey,
  value: Uint8Array,
): Promise<WithHeader> {
  const { succeeded, header } = await engine.txn({
    compare: [{ key, target: "create", result: "equal", createRevision: revision }],
    success: [{ type: "put", request: { key, value, lease } }],
    failure: [],
  });
  if (!succeeded) throw new EngineError("notElected");
  return { header };
}

/** Gives leadership up, or the candidacy. Without either, nothing happens. */
export async function resign(engine: QueueEngine, leader: LeaderKey): Promise<WithHeader> {
  return { header: (await leave(engine, leader)).header };
}

/** Who leads, and what it proclaims. @throws EngineError `noElectedLeader`. */
export async function leaderOf(engine: QueueEngine, name: Uint8Array): Promise<LeaderResponse> {
  const { kvs, header } = await engine.range(firstInLine(name));
  const kv = kvs[0];
  if (kv === undefined) throw new EngineError("noElectedLeader");
  return { kv, header };
}

/**
 * Who leads now, and then every new leader and every new proclamation; between two, some may be left out.
 *
 * @param told the `modRevision` of what an earlier call gave last, which is then not given again. 0: nothing was.
 */
export async function* observe(
  engine: QueueEngine,
  name: Uint8Array,
  signal: AbortSignal,
  told: Revision = 0,
): AsyncGenerator<LeaderResponse, void, undefined> {
  const line = lineOf(name);
  // Neither another leader nor another value has the same.
  let toldRevision = told;
  for (;;) {
    // Anew for every look: whatever happens after it is in the stream.
    const stream = engine.watch({ signal });
    try {
      const { kvs, header } = await engine.range(firstInLine(name));
      const kv = kvs[0];
      if (kv !== undefined && kv.modRevision !== toldRevision) yield { kv, header };
      toldRevision = kv?.modRevision ?? 0;
      stream.create({ ...line, startRevision: header.revision + 1 });
      if ((await changed(stream)) === "closed") return;
    } finally {
      stream.close();
    }
  }
}

/** Waits for any change in line. */
async function changed(stream: ReturnType<QueueEngine["watch"]>): Promise<"changed" | "closed"> {
  for await (const { events, canceled, cancelReason, compactRevision } of stream) {
    if (events.length > 0 || compactRevision > 0) return "changed";
    if (canceled) throw new EngineError("tooManyRequests", { detail: cancelReason, retryAfterMs: 1000 });
  }
  return "closed";
}

const NOTHING: Uint8Array = new Uint8Array(0);
