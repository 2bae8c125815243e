import { EngineError } from "../errors/index.ts";
import type { Message, NodeId } from "../raft/index.ts";
import { decodeFrame, encodeFrame } from "./codec/index.ts";
import type { FrameBody } from "./frames.ts";
import type { Logger, StoreIdentity, Transport } from "./ports.ts";

/** Where each kind of frame goes. */
export interface PeerHandlers {
  readonly message: (message: Message) => void;
  readonly forward: (from: NodeId, body: Extract<FrameBody, { type: "forward" }>) => void;
  readonly forwardRejected: (body: Extract<FrameBody, { type: "forwardRejected" }>) => void;
  readonly snapshotChunk: (from: NodeId, body: Extract<FrameBody, { type: "snapshotChunk" }>) => void;
  readonly snapshotName: (from: NodeId, body: Extract<FrameBody, { type: "snapshotName" }>) => void;
  readonly snapshotChunkResult: (
    from: NodeId,
    body: Extract<FrameBody, { type: "snapshotChunkResult" }>,
  ) => void;
  readonly query: (from: NodeId, body: Extract<FrameBody, { type: "query" }>) => void;
  readonly queryResult: (body: Extract<FrameBody, { type: "queryResult" }>) => void;
  readonly unreachable: (node: NodeId) => void;
  /** Anything that is not a bad frame: it stops the node. */
  readonly fail: (error: unknown) => void;
}

/** The way to the other members: frames out, and frames in to whom they concern, after a look at their header. */
export class PeerPort {
  readonly #identity: StoreIdentity;
  readonly #transport: Transport;
  readonly #logger: Logger;

  constructor(identity: StoreIdentity, transport: Transport, logger: Logger) {
    this.#identity = identity;
    this.#transport = transport;
    this.#logger = logger;
  }

  open(handlers: PeerHandlers): void {
    this.#transport.start({
      receive: (from, bytes) => this.#receive(from, bytes, handlers),
      unreachable: handlers.unreachable,
    });
  }

  send(to: NodeId, body: FrameBody): void {
    const { clusterId, groupId, nodeId: from } = this.#identity;
    this.#transport.send(to, encodeFrame({ clusterId, groupId, from, to }, body));
  }

  setPeers(peers: ReadonlyMap<NodeId, readonly string[]>): void {
    this.#transport.setPeers(peers);
  }

  #receive(from: NodeId, bytes: Uint8Array, handlers: PeerHandlers): void {
    try {
      const { header, body } = decodeFrame(bytes);
      const { clusterId, groupId, nodeId } = this.#identity;
      const mine = header.clusterId === clusterId && header.groupId === groupId && header.to === nodeId;
      if (!mine || header.from !== from)
        throw new EngineError("malformed", { detail: "the frame is for another" });
      this.#route(from, body, handlers);
    } catch (error) {
      if (!(error instanceof EngineError)) return handlers.fail(error);
      this.#logger.log("warn", "a peer's frame was refused", { from, error: error.message });
    }
  }

  #route(from: NodeId, body: FrameBody, handlers: PeerHandlers): void {
    switch (body.type) {
      case "raft":
        // A snapshot is announced by its last chunk, never by itself.
        if (body.message.type !== "InstallSnapshot") handlers.message(body.message);
        return;
      case "forward":
        return handlers.forward(from, body);
      case "forwardRejected":
        return handlers.forwardRejected(body);
      case "snapshotChunk":
        return handlers.snapshotChunk(from, body);
      case "snapshotName":
        return handlers.snapshotName(from, body);
      case "snapshotChunkResult":
        return handlers.snapshotChunkResult(from, body);
      case "query":
        return handlers.query(from, body);
      case "queryResult":
        return handlers.queryResult(body);
    }
  }
}
