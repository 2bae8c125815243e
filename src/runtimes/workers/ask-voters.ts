import { EngineError } from "../../core/errors/index.ts";
import { nearestFirst, type Whereabouts } from "./nearest.ts";
import type { WorkersNode } from "./node-list.ts";
import { ADDRESS_HEADER, objectName } from "./object-address.ts";
import { LEADER_NODE_HEADER } from "./object-host.ts";
import { stubOf } from "./object-poster.ts";
import type { ObjectNamespace, ObjectStub, WorkersEnv } from "./platform.ts";
import { NOT_SERVED_HEADER } from "./raft-object.ts";
import { type Patience, patienceWith } from "../http/front/patience.ts";
import { raftNamespace, type WorkersConfig } from "./workers-config.ts";

/** A client's request, ready to be asked more than once. */
export interface ClientCall {
  readonly group: string;
  /** As the objects' app is to see it. */
  readonly url: string;
  readonly request: Request;
  readonly body: Uint8Array | null;
  readonly from: Whereabouts | undefined;
}

/** How often a voter that keeps a waiting call is asked whether it lives: each is a request, and billed. */
const PROBE_INTERVAL_MS = 15_000;
/** Answered from memory; it wakes no group. The host is any. */
const PROBE_URL = "https://object/livez";
/** While every object that there is says that it cannot serve yet: as at the first request of a new group. */
const ROUNDS = 3;
const ROUND_PAUSE_MS = 250;

/** Who led last, for each group that this isolate has served: only a hint of whom to ask first. */
const LEADERS = new Map<string, string>();
const MAX_LEADERS = 1000;

/**
 * Asks the voters of a group one after the other until one has an answer. Whoever has certainly done nothing is passed
 * over; one that breaks off or does not answer is passed over only where nothing can be done twice: for reads, and for
 * writes with a name.
 */
export async function askVoters(call: ClientCall, config: WorkersConfig, env: WorkersEnv): Promise<Response> {
  const patience = patienceWith(call.request, call.url, config.requestTimeoutMs);
  const namespace = raftNamespace(env);
  let refusal: Response | null = null;
  let problem: unknown = null;
  for (let round = 0; round < ROUNDS; round++) {
    if (round > 0) await new Promise((resolve) => setTimeout(resolve, ROUND_PAUSE_MS));
    let broken = 0;
    for (const node of inOrder(call, config)) {
      try {
        const response = await ask(namespace, node, call, config, patience);
        learnLeader(call.group, response);
        if (!response.headers.has(NOT_SERVED_HEADER)) return response;
        refusal = response;
      } catch (error) {
        LEADERS.delete(call.group);
        if (!patience.repeatable) throw unknown(error);
        problem = error;
        broken++;
      }
    }
    // Those that are being replaced had their chance as well.
    if (broken === 0 && refusal !== null && !mayPass(refusal)) break;
  }
  if (!patience.read && problem !== null) throw unknown(problem);
  if (refusal === null)
    throw new EngineError("unhealthy", { detail: "no voter answers", retryAfterMs: 1000 });
  return patience.read ? refusal : await notDone(refusal);
}

/** What stands in the way may be over in a moment, unless it lies in the configuration or in the request. */
function mayPass({ status }: Response): boolean {
  return status === 503 || status === 429;
}

function inOrder({ group, from, url }: ClientCall, { nodes }: WorkersConfig): readonly WorkersNode[] {
  const objects = nodes.filter(({ object }) => object !== null);
  const near = nearestFirst(objects, from);
  // Any replica will do for those, and only those.
  if (new URL(url).searchParams.get("consistency") === "eventual") return near;
  const leader = near.find(({ name }) => name === LEADERS.get(group));
  return leader === undefined ? near : [leader, ...near.filter((node) => node !== leader)];
}

async function ask(
  namespace: ObjectNamespace,
  node: WorkersNode,
  { group, url, request, body }: ClientCall,
  config: WorkersConfig,
  { answerMs, probeAfterMs }: Patience,
): Promise<Response> {
  const address = objectName({ group, node: node.name });
  const headers = new Headers(request.headers);
  headers.set(ADDRESS_HEADER, address);
  // A stub of its own for each call: one that has seen an exception is broken for good.
  const stub = (): ObjectStub => stubOf(namespace, config.nodes, group, node.name);
  const aborter = new AbortController();
  const giveUp = (): void => aborter.abort(new Error("no answer in time"));
  const timer = setTimeout(giveUp, answerMs);
  // A client that has gone away waits for nothing any more.
  const leave = (): void => aborter.abort(new Error("nobody waits for the answer"));
  request.signal.addEventListener("abort", leave, { once: true });
  const isAlive = async (signal: AbortSignal): Promise<boolean> => {
    const reply = await stub().fetch(PROBE_URL, { headers: { [ADDRESS_HEADER]: address }, signal });
    return reply.ok;
  };
  const stopProbing = probeAfterMs === null ? null : probing(isAlive, probeAfterMs, giveUp);
  try {
    return await stub().fetch(url, {
      method: request.method,
      headers,
      body: body as Uint8Array<ArrayBuffer> | null,
      signal: aborter.signal,
      redirect: "manual",
    });
  } finally {
    clearTimeout(timer);
    stopProbing?.();
    request.signal.removeEventListener("abort", leave);
  }
}

/** Looks again and again whether a voter lives, until it does not, or the caller wants to know no more. */
function probing(
  isAlive: (signal: AbortSignal) => Promise<boolean>,
  patienceMs: number,
  dead: () => void,
): () => void {
  let isOver = false;
  let timer: ReturnType<typeof setTimeout>;
  const probe = async (): Promise<void> => {
    const aborter = new AbortController();
    const late = setTimeout(() => aborter.abort(new Error("no answer in time")), patienceMs);
    const alive = await isAlive(aborter.signal).catch(() => false);
    clearTimeout(late);
    if (isOver) return;
    if (alive) timer = setTimeout(() => void probe(), PROBE_INTERVAL_MS);
    else dead();
  };
  timer = setTimeout(() => void probe(), patienceMs);
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

function learnLeader(group: string, { headers }: Response): void {
  const leader = headers.get(LEADER_NODE_HEADER);
  if (leader === null) return;
  LEADERS.delete(group);
  LEADERS.set(group, leader);
  if (LEADERS.size <= MAX_LEADERS) return;
  for (const oldest of LEADERS.keys()) {
    LEADERS.delete(oldest);
    break;
  }
}

/** `overloaded` or not, the object may have done it before it was stopped: code 14 says so. */
function unknown(cause: unknown): EngineError {
  const detail = `a voter broke off (${String(cause)}); whether the write happened is not known`;
  return new EngineError("unhealthy", { detail, retryAfterMs: 1000, cause });
}

/** No voter has taken the write, which an error of code 14 would leave open. */
async function notDone(refusal: Response): Promise<Response> {
  if (!mayPass(refusal)) return refusal;
  const { detail, message } = (await refusal.json()) as {
    readonly detail?: string;
    readonly message?: string;
  };
  throw new EngineError("proposalDropped", {
    detail: detail ?? message ?? "no voter takes it",
    retryAfterMs: 1000,
  });
}
