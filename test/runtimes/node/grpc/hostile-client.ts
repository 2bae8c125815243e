import type { Socket } from "node:net";
import { expect } from "vitest";
import { callHeaders, frame, FrameReader, FRAMES, PREFACE, prefixed } from "./raw-http2.ts";
import { bytes, type Site } from "./site.ts";

export const RANGE: string = "/etcdserverpb.KV/Range";
/** Stays open until the client has said what to watch. */
export const WATCH: string = "/etcdserverpb.Watch/Watch";
export const GET_K: Buffer = prefixed(Buffer.from([10, 1, 107]));
/** The first, and none. */
export const SETTINGS: Buffer = frame(FRAMES.settings, 0, 0);
export const BEGUN: Buffer = frame(FRAMES.headers, 4, 1, callHeaders(WATCH));

export const u32 = (...values: readonly number[]): Buffer => {
  const buffer = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => buffer.writeUInt32BE(value, 4 * i));
  return buffer;
};
export const setting = (name: number, value: number): Buffer => {
  const buffer = Buffer.alloc(6);
  buffer.writeUInt16BE(name);
  buffer.writeUInt32BE(value, 2);
  return buffer;
};
export const windowSetting = (value: number): Buffer => frame(FRAMES.settings, 0, 0, setting(4, value));
export const widen = (stream: number, by: number): Buffer => frame(FRAMES.windowUpdate, 0, stream, u32(by));
export const reset = (stream: number): Buffer => frame(FRAMES.reset, 0, stream, u32(8));
export const headers = (block: Uint8Array, flags = 4, stream = 1): Buffer =>
  frame(FRAMES.headers, flags, stream, block);
export const watch = (more: readonly (readonly [string, string])[] = []): Buffer =>
  headers(callHeaders(WATCH, more));

/** A client that does as it is told. */
export class HostileClient {
  readonly reader: FrameReader;
  readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
    this.reader = new FrameReader(socket);
  }

  static async open(site: Site, settings: Buffer = SETTINGS): Promise<HostileClient> {
    const connection = new HostileClient(await site.socket());
    connection.socket.write(Buffer.concat([PREFACE, settings]));
    await connection.reader.find(({ type, flags }) => type === FRAMES.settings && flags === 1);
    return connection;
  }

  say(...frames: readonly Uint8Array[]): void {
    if (this.socket.writable) this.socket.write(Buffer.concat(frames));
  }

  /** The code of the last goodbye, after which the server has hung up. */
  async goaway(): Promise<number> {
    await this.reader.closed;
    return this.reader.frames.findLast(({ type }) => type === FRAMES.goaway)!.payload.readUInt32BE(4);
  }

  async resetOf(stream: number): Promise<number> {
    const found = await this.reader.find((each) => each.type === FRAMES.reset && each.stream === stream);
    return found.payload.readUInt32BE();
  }

  /** Resolves when everything that was said before has been looked at. */
  async heard(): Promise<void> {
    const tag = Buffer.from(String(performance.now()).padEnd(8).slice(0, 8));
    this.say(frame(FRAMES.ping, 0, 0, tag));
    await this.reader.find(({ type, payload }) => type === FRAMES.ping && payload.equals(tag));
  }

  data(stream: number): Buffer {
    return Buffer.concat(
      this.reader.frames
        .filter((each) => each.type === FRAMES.data && each.stream === stream)
        .map(({ payload }) => payload),
    );
  }

  /** Says this again and again until the server ends it; how often it could. */
  async flood(part: (i: number) => Uint8Array, times: number): Promise<number> {
    for (let i = 0; i < times; i++) {
      if (!this.socket.writable || this.reader.frames.some(({ type }) => type === FRAMES.goaway)) return i;
      this.say(part(i));
      if (i % 10 === 9) await new Promise((resolve) => setImmediate(resolve));
    }
    return times;
  }
}

/** The server has borne it, and serves others. */
export async function expectWell(site: Site): Promise<void> {
  const client = site.client();
  expect(await client.call("KV/Range", { key: bytes("k") })).toHaveProperty("header");
  client.close();
  expect(site.log).toEqual([]);
}
