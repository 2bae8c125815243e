import type { DurableObjectStorage } from "../../adapters/durable-object/index.ts";

/*
 * What is used of Cloudflare Workers, by its shape: the platform's own types would bring their globals to whoever
 * compiles against this library. The real objects fit.
 */

export interface ObjectId {
  equals(other: ObjectId): boolean;
}

export interface ObjectStub {
  fetch(url: string, init?: RequestInit): Promise<Response>;
}

/** A Durable Object binding. */
export interface ObjectNamespace {
  idFromName(name: string): ObjectId;
  /** A `locationHint` counts only the first time that the object is reached, and then for ever. */
  get(id: ObjectId, options?: { readonly locationHint?: string }): ObjectStub;
}

export interface ObjectStorage extends DurableObjectStorage {
  setAlarm(scheduledTimeMs: number): Promise<void>;
  deleteAlarm(): Promise<void>;
}

/** The first argument of a Durable Object's constructor. */
export interface ObjectState {
  readonly id: ObjectId;
  readonly storage: ObjectStorage;
  /** Ends this instance; the next request makes a new one. */
  abort(reason?: string): void;
}

/** Bindings, variables and secrets of the Worker. */
export type WorkersEnv = object;

/** Set on exceptions of calls to other objects. */
export interface ObjectCallProblem {
  /** The call may be repeated if it changes nothing, or the same thing twice. */
  readonly retryable?: boolean;
  /** The object has too much to do: to repeat the call would make it worse. */
  readonly overloaded?: boolean;
}
