// RFC 9113 as a client sees it, written from the text and sharing nothing with the server: what each frame may be answered
// with, and what a server may send.

import { Code, FRAMES } from "../raw-http2.ts";

/** What a frame is answered with: nothing, the end of its stream, or that of the connection. */
export type Answer =
  | { readonly scope: "none" }
  | { readonly scope: "stream" | "connection"; readonly code: number };

const NOTHING: Answer = { scope: "none" };
const stream = (code: number): Answer => ({ scope: "stream", code });
const connection = (code: number): Answer => ({ scope: "connection", code });

/** What a block of headers is, which its bytes do not tell a model without HPACK. */
export interface BlockKind {
  readonly isHpack: boolean;
  /** As the head of a request. */
  readonly isRequest: boolean;
  readonly isTooLarge: boolean;
  readonly isCall: boolean;
  /** As trailers. */
  readonly areTrailers: boolean;
  readonly announcedBytes: number | null;
}

export interface SentFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
  /** Of the block that ends with this frame. */
  readonly block?: BlockKind;
}

export interface StreamState {
  readonly id: number;
  /** From the server's side, as in section 5.1. */
  state: "open" | "half" | "closed";
  /** Whoever closed it with a reset; null when both have said all. */
  closedBy: "client" | "server" | null;
  /** The client has said that it says no more, also after the stream was closed. */
  hasEnded: boolean;
  /** What the client may send, and what the server. */
  clientWindow: number;
  serverWindow: number;
  announcedLeft: number | null;
  /** Of the server's answer. */
  hasHead: boolean;
  hasAnswered: boolean;
  /** Bytes of it, and of what the client sent while it was listened to. */
  answeredBytes: number;
  deliveredBytes: number;
}

const MAX_WINDOW = 0x7fffffff;

/** The state of a connection by its frames. */
export class Rules {
  readonly streams = new Map<number, StreamState>();
  last = 0;
  /** A block that goes on, and on which stream. */
  openBlock: { readonly stream: number; readonly endStream: boolean } | null = null;
  clientWindow = 65_535;
  serverWindow = 65_535;
  /** What the server lets a client send of a new stream, and the other way round. */
  serverInitialWindow = 65_535;
  clientInitialWindow = 65_535;
  maxFrameBytes = 16_384;
  isGoingAway = false;
  /** Pings since the server sent headers or data: gRPC's servers bear with three. */
  pings = 0;
  readonly #maxCalls: number;

  constructor(maxCalls: number) {
    this.#maxCalls = maxCalls;
  }

  get live(): readonly StreamState[] {
    return [...this.streams.values()].filter(({ state }) => state !== "closed");
  }

  isIdle(id: number): boolean {
    return id === 0 || id % 2 === 0 || id > this.last;
  }

  /** Each answer that this frame may have. */
  allowed(frame: SentFrame): readonly Answer[] {
    const problems = this.#problems(frame);
    return problems.length === 0 ? [NOTHING] : problems;
  }

  #problems(frame: SentFrame): readonly Answer[] {
    const { type, payload, stream: id } = frame;
    const found: Answer[] = [];
    const block = this.openBlock;
    if (payload.length > 16_384) found.push(connection(Code.frameSize));
    if (block !== null && (type !== FRAMES.continuation || id !== block.stream))
      found.push(connection(Code.protocol));
    switch (type) {
      case FRAMES.data:
        return [...found, ...this.#ofData(frame)];
      case FRAMES.headers:
        return [...found, ...this.#ofHeaders(frame)];
      case FRAMES.continuation:
        if (block === null || block.stream !== id) return [...found, connection(Code.protocol)];
        return (frame.flags & 4) === 0 ? found : [...found, ...this.#ofBlock(frame, id, block.endStream)];
      case FRAMES.priority:
        if (id === 0) found.push(connection(Code.protocol));
        if (payload.length !== 5) found.push(connection(Code.frameSize), stream(Code.frameSize));
        return found;
      case FRAMES.reset:
        if (payload.length !== 4) found.push(connection(Code.frameSize));
        if (this.isIdle(id)) found.push(connection(Code.protocol));
        return found;
      case FRAMES.settings:
        return [...found, ...this.#ofSettings(frame)];
      case FRAMES.pushPromise:
        return [...found, connection(Code.protocol)];
      case FRAMES.ping:
        if (id !== 0) found.push(connection(Code.protocol));
        if (payload.length !== 8) found.push(connection(Code.frameSize));
        if (found.length === 0 && (frame.flags & 1) === 0 && this.pings >= 3)
          found.push(connection(Code.calm));
        return found;
      case FRAMES.goaway:
        if (id !== 0) found.push(connection(Code.protocol));
        if (payload.length < 8) found.push(connection(Code.frameSize));
        return found;
      case FRAMES.windowUpdate:
        return [...found, ...this.#ofWindow(frame)];
      default:
        return found;
    }
  }

  /** Section 6.1. */
  #ofData({ stream: id, flags, payload }: SentFrame): readonly Answer[] {
    if (this.isIdle(id)) return [connection(Code.protocol)];
    const found: Answer[] = [];
    const padding = (flags & 8) === 0 ? -1 : (payload[0] ?? payload.length);
    if (padding >= payload.length) found.push(connection(Code.protocol));
    if (payload.length > this.clientWindow) found.push(connection(Code.flowControl));
    const state = this.streams.get(id);
    if (state?.state !== "open") return [...found, ...this.#late(id)];
    if (payload.length > state.clientWindow) found.push(stream(Code.flowControl));
    const left = state.announcedLeft;
    if (left !== null) {
      const after = left - (payload.length - 1 - padding);
      if (after < 0 || ((flags & 1) !== 0 && after > 0)) found.push(stream(Code.protocol));
    }
    return found;
  }

  /** Section 6.2. */
  #ofHeaders(frame: SentFrame): readonly Answer[] {
    const { stream: id, flags, payload } = frame;
    if (id % 2 === 0) return [connection(Code.protocol)];
    const found: Answer[] = [];
    const padding = (flags & 8) === 0 ? -1 : (payload[0] ?? payload.length);
    if (padding >= payload.length) found.push(connection(Code.protocol));
    if ((flags & 0x20) !== 0 && payload.length - 1 - padding < 5)
      found.push(connection(Code.frameSize), connection(Code.protocol));
    return (flags & 4) === 0 ? found : [...found, ...this.#ofBlock(frame, id, (flags & 1) !== 0)];
  }

  #ofBlock({ block }: SentFrame, id: number, endStream: boolean): readonly Answer[] {
    if (block === undefined) return [];
    if (!block.isHpack) return [connection(Code.compression)];
    if (id <= this.last) return this.#ofMoreHeaders(block, id, endStream);
    const found: Answer[] = [];
    if (this.isGoingAway) found.push(NOTHING, stream(Code.refused));
    if (this.live.length >= this.#maxCalls) found.push(stream(Code.refused), stream(Code.protocol));
    if (block.isTooLarge) found.push(stream(Code.calm), stream(Code.protocol), stream(Code.refused));
    if (!block.isRequest) found.push(stream(Code.protocol));
    if (endStream && (block.announcedBytes ?? 0) > 0) found.push(stream(Code.protocol));
    return found;
  }

  /** Section 8.1. */
  #ofMoreHeaders(block: BlockKind, id: number, endStream: boolean): readonly Answer[] {
    const state = this.streams.get(id);
    if (state?.state !== "open") return this.#late(id);
    const found: Answer[] = [];
    if (!endStream || !block.areTrailers) found.push(stream(Code.protocol));
    if ((state.announcedLeft ?? 0) > 0) found.push(stream(Code.protocol));
    return found;
  }

  /** Data or headers where there should be none (section 5.1). */
  #late(id: number): readonly Answer[] {
    const state = this.streams.get(id);
    // Passed by, and never used.
    if (state === undefined) return [connection(Code.streamClosed), connection(Code.protocol)];
    if (state.state === "half") return [stream(Code.streamClosed)];
    // What was on its way when the server closed it.
    if (state.closedBy === "server" && !state.hasEnded) return [NOTHING];
    return [connection(Code.streamClosed), NOTHING];
  }

  /** Section 6.5. */
  #ofSettings({ stream: id, flags, payload }: SentFrame): readonly Answer[] {
    const found: Answer[] = [];
    if (id !== 0) found.push(connection(Code.protocol));
    if (payload.length % 6 !== 0 || ((flags & 1) !== 0 && payload.length > 0))
      found.push(connection(Code.frameSize));
    if ((flags & 1) !== 0) return found;
    for (const [name, value] of rows(payload)) {
      if (name === 2 && value > 1) found.push(connection(Code.protocol));
      if (name === 4 && value > MAX_WINDOW) found.push(connection(Code.flowControl));
      if (name === 5 && (value < 16_384 || value > 0xffffff)) found.push(connection(Code.protocol));
    }
    const windows = rows(payload).flatMap(([name, value]) => (name === 4 ? [value] : []));
    const isOver = (value: number | undefined): boolean =>
      value !== undefined &&
      this.live.some(({ serverWindow }) => serverWindow + value - this.clientInitialWindow > MAX_WINDOW);
    if (isOver(windows.at(-1))) found.push(connection(Code.flowControl));
    // Of several, those before the last may be gone before they have an effect.
    else if (found.length === 0 && windows.some(isOver)) found.push(NOTHING, connection(Code.flowControl));
    return found;
  }

  /** Section 6.9. */
  #ofWindow({ stream: id, payload }: SentFrame): readonly Answer[] {
    if (payload.length !== 4)
      return id !== 0 && this.isIdle(id)
        ? [connection(Code.frameSize), connection(Code.protocol)]
        : [connection(Code.frameSize)];
    const by = payload.readUInt32BE() & MAX_WINDOW;
    if (id === 0) {
      if (by === 0) return [connection(Code.protocol)];
      return this.serverWindow + by > MAX_WINDOW ? [connection(Code.flowControl)] : [];
    }
    if (this.isIdle(id)) return [connection(Code.protocol)];
    const state = this.streams.get(id);
    if (state === undefined || state.state === "closed") return [];
    if (by === 0) return [stream(Code.protocol)];
    return state.serverWindow + by > MAX_WINDOW ? [stream(Code.flowControl)] : [];
  }

  /** A frame was sent, and this was the answer. */
  apply(frame: SentFrame, answer: Answer): void {
    const { type, stream: id, flags, payload } = frame;
    if (answer.scope === "connection") return;
    const state = this.streams.get(id);
    const isBlockEnd = (flags & 4) !== 0;
    if (type === FRAMES.headers && !isBlockEnd) this.openBlock = { stream: id, endStream: (flags & 1) !== 0 };
    else if (type === FRAMES.headers) this.#applyBlock(frame, (flags & 1) !== 0);
    else if (type === FRAMES.continuation && isBlockEnd) {
      const { endStream } = this.openBlock!;
      this.openBlock = null;
      this.#applyBlock(frame, endStream);
    } else if (type === FRAMES.data) {
      this.clientWindow -= payload.length;
      if (state?.state === "open" && answer.scope === "none") {
        const padding = (flags & 8) === 0 ? -1 : payload[0]!;
        const content = payload.length - 1 - padding;
        state.clientWindow -= payload.length;
        state.deliveredBytes += content;
        if (state.announcedLeft !== null) state.announcedLeft -= content;
      }
      if ((flags & 1) !== 0) this.#ended(state);
    } else if (type === FRAMES.reset && state !== undefined) {
      if (state.state !== "closed") this.#close(state, "client");
      state.hasEnded = true;
    } else if (type === FRAMES.windowUpdate) {
      const by = payload.readUInt32BE() & MAX_WINDOW;
      if (id === 0) this.serverWindow += by;
      else if (state !== undefined) state.serverWindow += by;
    } else if (type === FRAMES.settings && (flags & 1) === 0) this.#applySettings(payload);
    else if (type === FRAMES.ping && (flags & 1) === 0) this.pings++;
    else if (type === FRAMES.goaway) this.isGoingAway = true;
    const after = this.streams.get(id);
    if (answer.scope === "stream" && after !== undefined && after.state !== "closed")
      this.#close(after, "server");
  }

  /** The server has said its last, and cuts the rest of the request off where there may be some. */
  answered(state: StreamState): void {
    state.hasAnswered = true;
    this.#close(state, state.state === "half" ? null : "server");
  }

  #applyBlock({ stream: id, block }: SentFrame, endStream: boolean): void {
    const known = this.streams.get(id);
    if (id > this.last) {
      this.last = id;
      this.streams.set(id, {
        id,
        state: endStream ? "half" : "open",
        closedBy: null,
        hasEnded: endStream,
        clientWindow: this.serverInitialWindow,
        serverWindow: this.clientInitialWindow,
        announcedLeft: block?.announcedBytes ?? null,
        hasHead: false,
        hasAnswered: false,
        answeredBytes: 0,
        deliveredBytes: 0,
      });
    } else if (endStream) this.#ended(known);
  }

  #ended(state: StreamState | undefined): void {
    if (state === undefined) return;
    state.hasEnded = true;
    if (state.state === "open") state.state = "half";
  }

  #close(state: StreamState, by: StreamState["closedBy"]): void {
    state.state = "closed";
    state.closedBy = by;
  }

  #applySettings(payload: Buffer): void {
    for (const [name, value] of rows(payload)) {
      if (name === 5) this.maxFrameBytes = value;
      if (name !== 4) continue;
      for (const state of this.live) state.serverWindow += value - this.clientInitialWindow;
      this.clientInitialWindow = value;
    }
  }
}

function rows(payload: Buffer): readonly (readonly [number, number])[] {
  const found: (readonly [number, number])[] = [];
  for (let at = 0; at + 6 <= payload.length; at += 6)
    found.push([payload.readUInt16BE(at), payload.readUInt32BE(at + 2)]);
  return found;
}
