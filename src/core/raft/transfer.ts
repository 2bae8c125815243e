import type { Core } from "./core.ts";
import type { Outcome } from "./events.ts";
import type { Progress } from "./progress.ts";
import type { NodeId } from "./types.ts";

/** A leader handing over to a chosen voter (thesis §3.10): no new proposals, catch it up, tell it to campaign. */
export class LeadershipTransfer {
  readonly #core: Core;
  #target: NodeId | null = null;
  #deadlineMs: number | null = null;
  #timeoutNowSent = false;

  constructor(core: Core) {
    this.#core = core;
  }

  get target(): NodeId | null {
    return this.#target;
  }

  get deadlineMs(): number | null {
    return this.#deadlineMs;
  }

  /** TimeoutNow has left in this term: an election may come at any time, whatever followers promised. */
  get timeoutNowSent(): boolean {
    return this.#timeoutNowSent;
  }

  begin(target: NodeId, progress: Progress | undefined): Outcome {
    const { config, id, options, nowMs } = this.#core;
    const refuse = (detail: string): Outcome => ({
      ok: false,
      rejection: { reason: "badTransferee", detail },
    });
    if (target === id) return refuse("this node leads already");
    if (!config.voters.includes(target) || progress === undefined)
      return refuse(`node ${target} is not a voter`);
    this.#target = target;
    // Past an election timeout proposals would have to wait longer than for an election: give up (thesis §3.10).
    this.#deadlineMs = nowMs + options.electionTimeoutMs;
    this.onProgress(target, progress);
    return { ok: true };
  }

  onProgress(from: NodeId, progress: Progress): void {
    if (from !== this.#target) return;
    if (progress.match < this.#core.log.lastIndex) {
      progress.resend = true;
      return;
    }
    this.#timeoutNowSent = true;
    this.#core.send({ type: "TimeoutNow", to: from });
  }

  onDeadline(): void {
    if (this.#deadlineMs !== null && this.#core.nowMs >= this.#deadlineMs) this.#abort();
  }

  /** A target that was removed or demoted meanwhile cannot take over. */
  onConfig(): void {
    if (this.#target !== null && !this.#core.config.voters.includes(this.#target)) this.#abort();
  }

  #abort(): void {
    this.#target = null;
    this.#deadlineMs = null;
  }
}
