import type { Clock } from "../../core/node/index.ts";
import {
  ANSWER_HEADER,
  MAX_BATCH_BYTES,
  PEER_CONTENT_TYPE,
  PEER_PATH,
  type Poster,
  type PosterReply,
} from "../http/peer/index.ts";
import { readBytes } from "../http/body.ts";
import { ADDRESS_HEADER, objectName } from "./object-address.ts";
import { objectOfUrl, type WorkersNode } from "./node-list.ts";
import type { ObjectNamespace, ObjectStub } from "./platform.ts";

export interface ObjectPosterOptions {
  readonly namespace: ObjectNamespace;
  readonly nodes: readonly WorkersNode[];
  readonly group: string;
  /** How long a member may take to answer. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** Brings envelopes to other objects of this Worker by their stubs, and to members elsewhere over the network. */
export class ObjectPoster implements Poster {
  readonly #options: ObjectPosterOptions;
  /** A stub is broken for good after an exception, so only those that have worked are kept. */
  readonly #stubs = new Map<string, ObjectStub>();

  constructor(options: ObjectPosterOptions) {
    this.#options = options;
  }

  async post(peerUrl: string, envelope: Uint8Array): Promise<PosterReply> {
    const { nodes, timeoutMs, clock } = this.#options;
    const node = objectOfUrl(nodes, peerUrl);
    const aborter = new AbortController();
    const cancel = clock.setTimer(timeoutMs, () =>
      aborter.abort(new Error(`no answer within ${timeoutMs} ms`)),
    );
    const init = {
      method: "POST",
      headers: { "Content-Type": PEER_CONTENT_TYPE, [ANSWER_HEADER]: "1" },
      body: envelope as Uint8Array<ArrayBuffer>,
      signal: aborter.signal,
      // A redirect would take the envelope to somebody who was not meant.
      redirect: "manual",
    } as const;
    try {
      const response = await (node === null
        ? fetch(`${peerUrl}${PEER_PATH}`, init)
        : this.#toObject(node, init));
      return { status: response.status, body: await readBytes(response, MAX_BATCH_BYTES) };
    } catch (error) {
      if (node !== null) this.#stubs.delete(node);
      throw error;
    } finally {
      cancel();
    }
  }

  #toObject(node: string, init: RequestInit): Promise<Response> {
    const { group } = this.#options;
    const headers = new Headers(init.headers);
    headers.set(ADDRESS_HEADER, objectName({ group, node }));
    return this.#stub(node).fetch(`https://object${PEER_PATH}`, { ...init, headers });
  }

  #stub(node: string): ObjectStub {
    const { namespace, nodes, group } = this.#options;
    const known = this.#stubs.get(node);
    if (known !== undefined) return known;
    const stub = stubOf(namespace, nodes, group, node);
    this.#stubs.set(node, stub);
    return stub;
  }
}

/** Whoever reaches an object first decides where it lives, so everybody gives the same hint. */
export function stubOf(
  namespace: ObjectNamespace,
  nodes: readonly WorkersNode[],
  group: string,
  node: string,
): ObjectStub {
  const hint = nodes.find(({ name }) => name === node)?.object?.locationHint ?? null;
  const id = namespace.idFromName(objectName({ group, node }));
  return hint === null ? namespace.get(id) : namespace.get(id, { locationHint: hint });
}
