import { EngineError } from "../../src/core/errors/index.ts";
import { TRUSTED } from "../../src/core/kv/index.ts";
import { actAs, type Engine } from "../../src/core/node/index.ts";
import { isAmbiguous } from "../core/node/world/history.ts";
import type { SimNode } from "../core/node/world/sim-node.ts";
import type { World } from "../core/node/world/world.ts";
import type { Problem } from "./problem.ts";

/** How one request ended. Times are places in the order of everything that clients did and were told. */
export type Ending<T> = { readonly callAt: number } & (
  | { readonly status: "ok"; readonly returnAt: number; readonly value: T }
  | { readonly status: "failed" }
  | { readonly status: "unknown" }
);

/** What kind of promise the answer carries: a write's, a read's that must be fresh, or none about freshness. */
export type RequestKind = "write" | "fresh" | "stale";

interface Open {
  readonly node: bigint;
  readonly sinceMs: number;
  end(): void;
}

/** Everyone who asks the cluster for something: knows who waits, and what the newest revision is that anybody saw. */
export class Clients {
  readonly counts: { ok: number; failed: number; unknown: number } = { ok: 0, failed: 0, unknown: 0 };
  readonly problems: Problem[] = [];
  readonly #world: World;
  readonly #areTrusted: boolean;
  readonly #open: Set<Open> = new Set();
  #sequence = 0;
  /** The highest revision of an answered write or fresh read. */
  #floor = 0;
  #repliesLostUntilMs = 0;

  /** @param areTrusted whoever does not say who asks is asked no further: for runs with users. */
  constructor(world: World, areTrusted: boolean) {
    this.#world = world;
    this.#areTrusted = areTrusted;
  }

  get open(): number {
    return this.#open.size;
  }

  /** The place of what happened last, in the order of everything that clients did and were told. */
  get now(): number {
    return this.#sequence;
  }

  get nowMs(): number {
    return this.#world.nowMs;
  }

  get floor(): number {
    return this.#floor;
  }

  /** A client does something else for a while. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#world.schedule(ms, null, resolve));
  }

  /** The longest that anybody has been waiting. */
  longestWaitMs(): number {
    let longest = 0;
    for (const { sinceMs } of this.#open) longest = Math.max(longest, this.#world.nowMs - sinceMs);
    return longest;
  }

  /**
   * Sends one request to a node. It ends as ok, failed or unknown, whatever becomes of the node; only what is no
   * proper error is thrown.
   */
  request<T>(
    node: SimNode,
    kind: RequestKind,
    call: (engine: Engine) => Promise<{ readonly revision: number; readonly value: T }>,
  ): Promise<Ending<T>> {
    const callAt = ++this.#sequence;
    const { engine, life } = node;
    if (engine === null || life === null) {
      this.counts.failed++;
      return Promise.resolve({ callAt, status: "failed" });
    }
    const floor = this.#floor;
    return new Promise<Ending<T>>((resolve, reject) => {
      let ended = false;
      const end = (ending: Ending<T>): void => {
        if (ended) return;
        ended = true;
        this.#open.delete(open);
        this.counts[ending.status]++;
        this.#world.note(`${callAt} ${ending.status}`);
        resolve(ending);
      };
      const open: Open = {
        node: node.id,
        sinceMs: this.#world.nowMs,
        end: () => end({ callAt, status: kind === "write" ? "unknown" : "failed" }),
      };
      this.#open.add(open);
      call(this.#areTrusted ? actAs(engine, TRUSTED) : engine).then(
        ({ revision, value }) => {
          // An answer that the dead give reaches nobody.
          if (!life.isAlive || ended) return;
          if (this.#world.nowMs < this.#repliesLostUntilMs) return open.end();
          if (kind !== "stale") this.#sawRevision(node, kind, revision, floor);
          end({ callAt, status: "ok", returnAt: ++this.#sequence, value });
        },
        (error: unknown) => {
          if (!life.isAlive || ended) return;
          if (!(error instanceof EngineError)) return reject(error as Error);
          if (this.#world.nowMs < this.#repliesLostUntilMs) return open.end();
          const unknown = kind === "write" && isAmbiguous(error);
          end({ callAt, status: unknown ? "unknown" : "failed" });
        },
      );
    });
  }

  /** S12, S13: whoever is answered sees everything that had been answered, to anybody, before they asked. */
  #sawRevision(node: SimNode, kind: RequestKind, revision: number, floor: number): void {
    if (revision < floor) {
      const rule = kind === "write" ? "S12 write order" : "S12 stale read";
      const detail = `node ${node.id} answered at revision ${revision}, ${floor} had been seen before the request`;
      this.problems.push({ kind: "checker", rule, detail });
    }
    this.#floor = Math.max(this.#floor, revision);
  }

  /** From now on, for so long, clients are told nothing. */
  loseReplies(ms: number): void {
    this.#repliesLostUntilMs = Math.max(this.#repliesLostUntilMs, this.#world.nowMs + ms);
  }

  heal(): void {
    this.#repliesLostUntilMs = 0;
  }

  /** The node is gone, and its callers will never learn. */
  crashed(node: bigint): void {
    for (const open of this.#open) if (open.node === node) open.end();
  }
}
