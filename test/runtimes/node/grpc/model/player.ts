// Plays steps on a connection of the server's framing, and holds every answer to the rules.

import { type Frame, Code, frame, FRAMES, PREFACE } from "../raw-http2.ts";
import { CALL, head, padded, trailers } from "./blocks.ts";
import { expectThat, joined, Line, MAX_CALLS, outcomeOf, type Outcome, type Played } from "./line.ts";
import { type Answer, Rules, type SentFrame, type StreamState } from "./rules.ts";
import type { Step, Target } from "./steps.ts";

/** Plays steps one at a time, and requires of each answer that the rules allow it. */
export class Player {
  readonly #line = new Line();
  readonly #rules = new Rules(MAX_CALLS);
  readonly #played: Played[] = [];
  #isOver = false;
  /** Frames that were held to the rules, by what came of them. */
  readonly counts = { nothing: 0, stream: 0, connection: 0 };

  async play(steps: readonly Step[], hangsUp: boolean): Promise<void> {
    this.#line.client.write(PREFACE);
    await this.#say({ type: FRAMES.settings, flags: 0, stream: 0, payload: Buffer.alloc(0) });
    this.#played.unshift(PREFACE);
    for (const step of steps) {
      if (this.#isOver) break;
      await this.#step(step);
    }
    await this.#end(hangsUp);
  }

  /** The same bytes again, cut elsewhere and said without waiting: it must come to the same. */
  async replay(cuts: readonly number[]): Promise<{ readonly once: Outcome; readonly again: Outcome }> {
    const line = new Line();
    let said = 0;
    for (const part of joined(this.#played)) {
      if (typeof part === "function") {
        await line.settled();
        part(line);
        continue;
      }
      for (let at = 0; at < part.length;) {
        const bytes = cuts.length === 0 ? part.length : cuts[said++ % cuts.length]!;
        if (line.client.writable) line.client.write(part.subarray(at, at + bytes));
        at += bytes;
      }
    }
    await line.settled();
    const again = outcomeOf(line);
    line.client.destroy();
    await line.settled();
    return { once: outcomeOf(this.#line), again };
  }

  /** What was answered, which by itself may be too much for one turn of the server. */
  get answeredBytes(): number {
    return [...this.#line.calls.values()].reduce((sum, { answered }) => sum + answered, 0);
  }

  async #step(step: Step): Promise<void> {
    switch (step.do) {
      case "begin":
        return await this.#begin(step);
      case "data": {
        const payload = padded(Buffer.alloc(step.bytes, 7), step.padding);
        if (step.isSpoilt && step.padding !== null) payload[0] = 255;
        const flags = (step.endStream ? 1 : 0) | (step.padding === null ? 0 : 8);
        const id = this.#resolve(step.on);
        if (id === null) return;
        for (let i = 1; i <= step.times && !this.#isOver; i++)
          await this.#say({
            type: FRAMES.data,
            flags: i === step.times ? flags : flags & 8,
            stream: id,
            payload,
          });
        return;
      }
      case "trailers": {
        const [payload, block] = trailers(step.kind);
        const flags = 4 | (step.endStream ? 1 : 0);
        // One that nobody has begun would be a request.
        const request = { ...block, isRequest: false };
        const id = this.#resolve(step.on);
        if (id === null) return;
        return await this.#say({ type: FRAMES.headers, flags, stream: id, payload, block: request });
      }
      case "reset":
        return await this.#sayOn(step.on, FRAMES.reset, 0, Buffer.alloc(step.bytes));
      case "widen": {
        const payload = Buffer.alloc(Math.max(4, step.bytes));
        payload.writeUInt32BE(step.by);
        return await this.#sayOn(step.on, FRAMES.windowUpdate, 0, payload.subarray(0, step.bytes));
      }
      case "priority":
        return await this.#sayOn(step.on, FRAMES.priority, 0, Buffer.alloc(step.bytes));
      case "settings": {
        const payload = Buffer.alloc(6 * step.rows.length + step.extraBytes);
        step.rows.forEach(([name, value], i) => {
          payload.writeUInt16BE(name, 6 * i);
          payload.writeUInt32BE(value, 6 * i + 2);
        });
        const said = step.ack && step.rows.length < 3 ? payload.subarray(0, step.extraBytes) : payload;
        return await this.#sayOn(step.on, FRAMES.settings, step.ack ? 1 : 0, said);
      }
      case "ping":
        return await this.#sayOn(step.on, FRAMES.ping, step.ack ? 1 : 0, Buffer.alloc(step.bytes, 3));
      case "goaway":
        return await this.#sayOn(step.on, FRAMES.goaway, 0, Buffer.alloc(step.bytes));
      case "promise":
        return await this.#sayOn(step.on, FRAMES.pushPromise, 4, Buffer.alloc(8));
      case "unknown":
        return await this.#sayOn(step.on, step.type, 0, Buffer.alloc(step.bytes));
      case "giant":
        return await this.#sayOn(step.on, step.type, 0, Buffer.alloc(16_385));
      case "continue": {
        const open = this.#rules.openBlock;
        const id = open !== null && step.isOfBlock ? open.stream : this.#resolve(step.on);
        if (id === null || (open === null && step.isOfBlock)) return;
        // Its block had no content but for a field that is none of a request's.
        const block = { ...CALL, isRequest: false, areTrailers: true };
        const flags = step.isLast ? 4 : 0;
        return await this.#say({
          type: FRAMES.continuation,
          flags,
          stream: id,
          payload: Buffer.alloc(0),
          block,
        });
      }
      default:
        return await this.#serve(step);
    }
  }

  async #begin(step: Step & { readonly do: "begin" }): Promise<void> {
    const [bytes, block] = head(step.head);
    const id = (this.#rules.last === 0 ? 1 : this.#rules.last + 2) + 2 * step.skip;
    const endStream = step.endStream ? 1 : 0;
    if (step.breaksOff)
      return await this.#say({
        type: FRAMES.headers,
        flags: endStream,
        stream: id,
        payload: Buffer.alloc(0),
      });
    const size = Math.ceil(bytes.length / step.frames);
    for (let i = 0; i < step.frames && !this.#isOver; i++) {
      const part = bytes.subarray(i * size, (i + 1) * size);
      const last = i === step.frames - 1 ? 4 : 0;
      if (i > 0) {
        await this.#say({ type: FRAMES.continuation, flags: last, stream: id, payload: part, block });
        continue;
      }
      const prioritized = step.priority ? Buffer.concat([Buffer.from([0, 0, 0, 0, 9]), part]) : part;
      const flags = endStream | last | (step.priority ? 0x20 : 0) | (step.padding === null ? 0 : 8);
      const payload = padded(prioritized, step.padding);
      await this.#say({ type: FRAMES.headers, flags, stream: id, payload, block });
    }
  }

  #sayOn(on: Target, type: number, flags: number, payload: Buffer): Promise<void> {
    const stream = this.#resolve(on);
    return stream === null ? Promise.resolve() : this.#say({ type, flags, stream, payload });
  }

  /** Says a frame, and requires that the server does with it what the rules have. */
  async #say(sent: SentFrame): Promise<void> {
    const allowed = this.#rules.allowed(sent);
    const bytes = frame(sent.type, sent.flags, sent.stream, sent.payload);
    this.#played.push(bytes);
    this.#line.client.write(bytes);
    const before = this.#rules.streams.get(sent.stream)?.state;
    const frames = await this.#line.settled();
    const answer = answerOf(frames, sent.stream);
    const isAllowed = allowed.some(
      (each) =>
        each.scope === answer.scope &&
        (each.scope === "none" || answer.scope === "none" || each.code === answer.code),
    );
    expectThat(
      isAllowed,
      `frame ${describe(sent)} on a stream that is ${before ?? "new"} is answered with ` +
        `${JSON.stringify(answer)}; the rules have ${JSON.stringify(allowed)}`,
    );
    this.counts[answer.scope === "none" ? "nothing" : answer.scope]++;
    const wasGoingAway = this.#rules.isGoingAway;
    this.#rules.apply(sent, answer);
    this.#mayBeAnswered(sent, answer);
    this.#check(frames, sent, answer);
    const isGoodbye = this.#rules.isGoingAway && !wasGoingAway && answer.scope !== "connection";
    const goodbyes = frames.filter(({ type }) => type === FRAMES.goaway);
    expectThat(
      goodbyes.length === (isGoodbye || answer.scope === "connection" ? 1 : 0),
      `${goodbyes.length} goodbyes`,
    );
    await this.#afterwards(answer.scope === "connection");
  }

  /** What is no call is answered by the framing itself. */
  #mayBeAnswered(sent: SentFrame, answer: Answer): void {
    const state = this.#rules.streams.get(sent.stream);
    const isBegun = sent.block !== undefined && (sent.flags & 4) !== 0 && answer.scope === "none";
    if (!isBegun || state === undefined || state.state === "closed" || this.#line.calls.has(state.id)) return;
    expectThat(sent.block?.isCall === false, `stream ${state.id} has not come to the methods`);
  }

  /** What the server's own methods do. */
  async #serve(step: Step & { readonly do: "answer" | "finish" | "pause" | "resume" }): Promise<void> {
    const live = [...this.#line.calls].filter(([, record]) => !record.isFinished && record.closed === 0);
    const chosen = live[step.pick % Math.max(1, live.length)];
    if (chosen === undefined) return;
    const [id] = chosen;
    const serve = ({ calls }: Line): void => {
      const record = calls.get(id);
      if (record === undefined || record.isFinished) return;
      const { exchange } = record;
      if (step.do === "answer") {
        record.answered += step.bytes;
        exchange.send(new Uint8Array(step.bytes).fill(9));
      } else if (step.do === "finish") {
        record.isFinished = true;
        exchange.finish({ code: 0, message: "" });
      } else if (step.do === "pause") exchange.pause();
      else exchange.resume();
    };
    this.#played.push(serve);
    serve(this.#line);
    const frames = await this.#line.settled();
    expectThat(
      frames.every(({ type, payload }) => type !== FRAMES.reset || payload.readUInt32BE() === Code.none),
      "a call is reset for nothing",
    );
    this.#check(frames, null, { scope: "none" });
    await this.#afterwards(false);
  }

  /** Holds what the server says to the rules that it is under itself. */
  #check(frames: readonly Frame[], sent: SentFrame | null, answer: Answer): void {
    const rules = this.#rules;
    let acks = 0;
    let pongs = 0;
    for (const { type, flags, stream, payload } of frames) {
      const state = rules.streams.get(stream);
      expectThat(payload.length <= Math.max(16_384, rules.maxFrameBytes), "a frame is too large");
      if (type === FRAMES.settings && (flags & 1) !== 0) acks++;
      else if (type === FRAMES.settings) this.#settings(payload);
      else if (type === FRAMES.ping) {
        expectThat((flags & 1) !== 0 && sent !== null && payload.equals(sent.payload), "a ping of its own");
        pongs++;
      } else if (type === FRAMES.windowUpdate) {
        const by = payload.readUInt32BE();
        expectThat(by > 0, "a window of nothing");
        if (stream === 0) rules.clientWindow += by;
        else {
          expectThat(state?.state === "open", `a window for stream ${stream}, which is not open`);
          state!.clientWindow += by;
          expectThat(state!.clientWindow <= rules.serverInitialWindow, "more room than there was at first");
        }
      } else if (type === FRAMES.headers) this.#headers(stream, flags, state);
      else if (type === FRAMES.data) {
        expectThat(state !== undefined && state.hasHead && !state.hasAnswered, "data out of place");
        expectThat(state!.state !== "closed", `data on stream ${stream}, which is closed`);
        rules.serverWindow -= payload.length;
        state!.serverWindow -= payload.length;
        state!.answeredBytes += payload.length;
        expectThat(payload.length > 0 && (flags & 1) === 0, "data without content");
        expectThat(rules.serverWindow >= 0 && state!.serverWindow >= 0, "a window is overrun");
        rules.pings = 0;
      } else if (type === FRAMES.reset) {
        expectThat(state?.state === "closed" && state.closedBy === "server", `a reset of stream ${stream}`);
      } else if (type === FRAMES.goaway) {
        const last = payload.readUInt32BE();
        expectThat(last === rules.last, `a goodbye after stream ${last} instead of ${rules.last}`);
      } else expectThat(false, `a frame of type ${type}`);
    }
    const isOf = (type: number): boolean => sent?.type === type && (sent.flags & 1) === 0;
    const isBroken = answer.scope === "connection";
    // Settings may be good by themselves, and too much for a stream.
    const wanted = isOf(FRAMES.settings) ? 1 : 0;
    expectThat(acks === wanted || (isBroken && acks === 0), `${acks} settings are acknowledged`);
    const isPong = isOf(FRAMES.ping) && (answer.scope === "none" || answer.code === Code.calm);
    expectThat(pongs === (isPong ? 1 : 0), `${pongs} pings are answered`);
  }

  #settings(payload: Buffer): void {
    for (let at = 0; at < payload.length; at += 6)
      if (payload.readUInt16BE(at) === 4) this.#rules.serverInitialWindow = payload.readUInt32BE(at + 2);
  }

  #headers(stream: number, flags: number, state: StreamState | undefined): void {
    expectThat(
      state !== undefined && state.state !== "closed",
      `headers on stream ${stream}, which is closed`,
    );
    expectThat((flags & 4) !== 0, "headers in several frames");
    expectThat(!state!.hasHead || (flags & 1) !== 0, "headers in the middle");
    state!.hasHead = true;
    this.#rules.pings = 0;
    if ((flags & 1) !== 0) this.#rules.answered(state!);
  }

  /** What must hold whenever everything has been done that could be. */
  async #afterwards(isBroken: boolean): Promise<void> {
    const rules = this.#rules;
    const line = this.#line;
    if (isBroken || (rules.isGoingAway && rules.live.length === 0)) {
      this.#isOver = true;
      await line.settled();
      expectThat(line.isClosed, "the server has not hung up");
      return;
    }
    expectThat(!line.isClosed, "the server has hung up");
    for (const [id, record] of line.calls) {
      const state = rules.streams.get(id)!;
      const isOpen = state.state !== "closed";
      expectThat(
        record.closed === (isOpen ? 0 : 1),
        `stream ${id} is told ${record.closed} times that it is closed`,
      );
      if (isOpen) expectThat(record.ended === (state.state === "half" ? 1 : 0), `the end of stream ${id}`);
      expectThat(record.received === state.deliveredBytes, `stream ${id} has ${record.received} bytes`);
      if (!isOpen) continue;
      const left = record.answered - state.answeredBytes;
      expectThat(
        left === 0 || state.serverWindow <= 0 || rules.serverWindow <= 0,
        `stream ${id} has room, and ${left} bytes are held back`,
      );
      expectThat(left > 0 || !record.isFinished, `stream ${id} does not end`);
    }
    for (const state of rules.live) expectThat(line.calls.has(state.id), `stream ${state.id} is nobody's`);
    const unsent = [...line.calls].filter(([id]) => rules.streams.get(id)!.state !== "closed");
    const held = unsent.reduce(
      (sum, [id, { answered }]) => sum + answered - rules.streams.get(id)!.answeredBytes,
      0,
    );
    expectThat(line.queuedBytes === held, `${line.queuedBytes} bytes are held, not ${held}`);
  }

  async #end(hangsUp: boolean): Promise<void> {
    const line = this.#line;
    if (hangsUp) line.client.destroy();
    else {
      line.connection.destroy();
      line.client.end();
    }
    await line.settled();
    expectThat(line.isClosed, "a connection does not end");
    expectThat(line.queuedBytes === 0, `${line.queuedBytes} bytes are held for nobody`);
    for (const [id, { closed }] of line.calls)
      expectThat(closed === 1, `stream ${id} has ended ${closed} times`);
  }

  /** Null when there is no such stream. */
  #resolve({ state, pick }: Target): number | null {
    const { streams, last } = this.#rules;
    const all = [...streams.values()];
    const of = (wanted: Target["state"]): number | null => {
      const isCutOff = ({ closedBy, hasEnded }: StreamState): boolean => closedBy === "server" && !hasEnded;
      const isWanted = (each: StreamState): boolean =>
        wanted === "cutOff" ? isCutOff(each) : each.state === wanted;
      const ids = all.filter(isWanted).map(({ id }) => id);
      return ids[pick % Math.max(1, ids.length)] ?? null;
    };
    switch (state) {
      case "zero":
        return 0;
      case "even":
        return 2 * (pick + 1);
      case "idle":
        return last + (last % 2 === 0 ? 1 : 2) + 2 * pick;
      case "skipped": {
        const skipped = Array.from({ length: (last + 1) / 2 }, (_, i) => 2 * i + 1).filter(
          (id) => !streams.has(id),
        );
        return skipped[pick % Math.max(1, skipped.length)] ?? null;
      }
      default:
        return of(state);
    }
  }
}

function answerOf(frames: readonly Frame[], stream: number): Answer {
  const goodbye = frames.find(({ type, payload }) => type === FRAMES.goaway && payload.readUInt32BE(4) !== 0);
  if (goodbye !== undefined) return { scope: "connection", code: goodbye.payload.readUInt32BE(4) };
  const resets = frames.filter(({ type, payload }) => type === FRAMES.reset && payload.readUInt32BE() !== 0);
  const [reset] = resets;
  if (reset === undefined) return { scope: "none" };
  expectThat(resets.length === 1 && reset.stream === stream, `a reset of stream ${reset.stream}`);
  return { scope: "stream", code: reset.payload.readUInt32BE() };
}

function describe({ type, flags, stream, payload }: SentFrame): string {
  return `${type} (flags ${flags}, ${payload.length} bytes) for ${stream}`;
}
