import { EngineError } from "../../../core/errors/index.ts";
import type { Logger, Member } from "../../../core/node/index.ts";
import type { NodeId } from "../../../core/raft/index.ts";
import { type Batch, decodeBatch } from "./batch-codec.ts";
import { BATCH_KIND, envelopeKind, MEMBERS_REQUEST_KIND } from "./envelope.ts";
import { LimitedLog } from "./limited-log.ts";
import { decodeMembersRequest, encodeMembersReply } from "./members-codec.ts";
import { isSealed, type PeerMac, seal } from "./peer-mac.ts";
import { ReplayGuard } from "./replay-guard.ts";

/** The answer to a POST on the peer route. An error's body says in plain text what was wrong. */
export interface PeerReply {
  readonly status: number;
  readonly body: Uint8Array | null;
}

/**
 * Takes the raw body of a POST on the peer route. Rejects only for a broken invariant of this node's.
 *
 * @param takesAnswer the sender reads what comes back with the receipt: see {@link ANSWER_HEADER}.
 */
export type PeerHandler = (body: Uint8Array, takesAnswer?: boolean) => Promise<PeerReply>;

/** A sender sets it to say that frames for it may come back in the body of the reply, as a sealed batch. */
export const ANSWER_HEADER = "X-D-Engine-Takes-Answer";

export interface PeerReceiverOptions {
  readonly clusterId: bigint;
  readonly groupId: string;
  readonly nodeId: NodeId;
  readonly batchMac: PeerMac;
  readonly membersMac: PeerMac;
  /** Who belongs to the group, as far as this node knows; null while it does not know. */
  readonly members: () => Promise<readonly Member[] | null>;
  /** Takes an authentic frame: a view of the request's bytes. */
  readonly deliver: (from: NodeId, frame: Uint8Array) => void;
  /** After all frames of a batch were delivered: what is to travel back with the receipt, sealed; null for nothing. */
  readonly answer?: (from: NodeId, frames: readonly Uint8Array[]) => Promise<Uint8Array | null>;
  readonly maxBodyBytes: number;
  readonly logger: Logger;
  readonly nowMs: () => number;
}

/** Bodies being checked at the same time; more are turned away, since each holds its memory. */
const MAX_CONCURRENT = 64;

/**
 * The receiving end of the peer route: checks that a body is whole, meant for this node, authentic and new, in
 * that order, and only then lets its frames in. Web standards only, so that every runtime can use it.
 */
export class PeerReceiver {
  readonly #options: PeerReceiverOptions;
  readonly #replays = new ReplayGuard();
  readonly #log: LimitedLog;
  #concurrent = 0;

  constructor(options: PeerReceiverOptions) {
    this.#options = options;
    this.#log = new LimitedLog(options.logger, options.nowMs);
  }

  /** A {@link PeerHandler}. */
  async receive(body: Uint8Array, takesAnswer = false): Promise<PeerReply> {
    if (body.length > this.#options.maxBodyBytes) {
      return this.#refuse(
        413,
        `the body has ${body.length} bytes, at most ${this.#options.maxBodyBytes} are taken`,
      );
    }
    if (this.#concurrent >= MAX_CONCURRENT) return this.#refuse(503, "too many messages at the same time");
    this.#concurrent++;
    try {
      const kind = envelopeKind(body);
      if (kind === BATCH_KIND) return await this.#batch(body, takesAnswer);
      if (kind === MEMBERS_REQUEST_KIND) return await this.#members(body);
      return this.#refuse(400, "this is not a message between members");
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      return this.#refuse(error.code === "malformed" ? 400 : 503, error.message);
    } finally {
      this.#concurrent--;
    }
  }

  async #batch(body: Uint8Array, takesAnswer: boolean): Promise<PeerReply> {
    const batch = decodeBatch(body);
    // Before the MAC, whose key is bound to cluster and group: the sender is to learn which setting is wrong.
    const misdirected = this.#misdirected(batch);
    if (misdirected !== null) return this.#refuse(421, misdirected);
    const sealed = isSealed(body, this.#options.batchMac);
    if (!(sealed instanceof Promise ? await sealed : sealed)) return this.#refuse(401, WRONG_SECRET);
    const { from, session, sequence } = batch.header;
    if (!this.#replays.accept(from, session, sequence)) {
      return this.#refuse(409, "this batch was received before");
    }
    for (const frame of batch.frames) this.#options.deliver(from, frame);
    const answer = takesAnswer ? await this.#options.answer?.(from, batch.frames) : null;
    return answer === null || answer === undefined ? ACCEPTED : { status: 200, body: answer };
  }

  #misdirected({ header }: Batch): string | null {
    const { clusterId, groupId, nodeId } = this.#options;
    if (header.clusterId !== clusterId) return "the sender belongs to another cluster";
    if (header.groupId !== groupId) return "the sender belongs to another group";
    if (header.to !== nodeId) return "the message is meant for another member";
    if (header.from === nodeId || header.from === 0n) return "the sender uses this member's id, or none";
    return null;
  }

  async #members(body: Uint8Array): Promise<PeerReply> {
    const request = decodeMembersRequest(body);
    if (request.groupId !== this.#options.groupId) {
      return this.#refuse(421, "the sender asks for another group");
    }
    if (!(await isSealed(body, this.#options.membersMac))) return this.#refuse(401, WRONG_SECRET);
    const members = await this.#options.members();
    if (members === null) return this.#refuse(503, "this member does not know the group yet");
    const { clusterId, groupId } = this.#options;
    const reply = encodeMembersReply({ groupId, nonce: request.nonce, clusterId, members });
    return { status: 200, body: await seal(reply, this.#options.membersMac) };
  }

  #refuse(status: number, problem: string): PeerReply {
    this.#log.log("warn", String(status), "refused a message on the peer route", { status, problem });
    return { status, body: ENCODER.encode(problem) };
  }
}

const WRONG_SECRET = "the message authentication code is wrong: do all members have the same peer secret?";
/** What a transport answers that has not been started yet, or has been stopped. */
export const NOT_RUNNING: PeerReply = {
  status: 503,
  body: new TextEncoder().encode("this member is starting or stopping"),
};

const ACCEPTED: PeerReply = { status: 204, body: null };
const ENCODER = new TextEncoder();
