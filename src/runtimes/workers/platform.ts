import type { DurableObjectStorage } from "../../adapters/durable-object/index.ts";

/*
 * What is used of Cloudflare Workers, by its shape: the platform's own types would bring their globals to whoever
 * compiles against this library. The real objects fit.
 */

/** Which Durable Object is meant. */
export interface ObjectId {
  equals(other: ObjectId): boolean;
}

/** The way to one Durable Object. A call rejects when the object breaks it off: then a new stub is needed. */
export interface ObjectStub {
  fetch(url: string, init?: RequestInit): Promise<Response>;
}

/** A Durable Object binding. */
export interface ObjectNamespace {
  idFromName(name: string): ObjectId;
  /** A `locationHint` counts only the first time that the object is reached, and then for ever. */
  get(id: ObjectId, options?: { readonly locationHint?: string }): ObjectStub;
}

/** `ctx.storage`, with its one alarm. Times are milliseconds since the Unix epoch. */
export interface ObjectStorage extends DurableObjectStorage {
  /** Null when there is none, and while it is being answered. */
  getAlarm(): Promise<number | null>;
  setAlarm(scheduledTimeMs: number): Promise<void>;
  deleteAlarm(): Promise<void>;
}

/** The first argument of a Durable Object's constructor. */
export interface ObjectState {
  readonly id: ObjectId;
  readonly storage: ObjectStorage;
  /** Ends this instance; the next request makes a new one. */
  abort(reason?: string): void;
  /** From now on the connection outlasts this instance's memory, and what comes is given to the object's handlers. */
  acceptWebSocket(socket: HibernatingSocket): void;
  getWebSockets(): HibernatingSocket[];
  /** What is answered while the object sleeps on, and costs nothing. */
  setWebSocketAutoResponse(pair: object): void;
}

/** The server's end of a WebSocket. */
export interface HibernatingSocket {
  readonly readyState: number;
  send(text: string): void;
  close(code: number): void;
  /** At most 16,384 bytes, in memory that the object does not lose. */
  serializeAttachment(value: unknown): void;
  deserializeAttachment(): unknown;
}

/** Classes that only this platform has. */
export interface Platform {
  readonly WebSocketPair: new () => { readonly 0: object; readonly 1: HibernatingSocket };
  readonly WebSocketRequestResponsePair: new (request: string, response: string) => object;
}

export function platform(): Platform {
  return globalThis as unknown as Platform;
}

/** Bindings, variables and secrets of the Worker. */
export type WorkersEnv = object;
