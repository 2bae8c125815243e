import type { ErrorCode } from "../../core/errors/index.ts";
import type { LogBounds } from "../../core/node/index.ts";
import type { LogIndex, Term } from "../../core/raft/index.ts";
import type { DatabaseOptions, WriteBatch } from "./database.ts";

/** What the main thread asks of the thread that owns the database. Carried out in the order asked. */
export type Request =
  | { readonly type: "verifyLog" }
  | { readonly type: "loadMeta" }
  | { readonly type: "saveIdentity"; readonly identity: Uint8Array }
  | ({ readonly type: "write" } & WriteBatch)
  | { readonly type: "read"; readonly from: LogIndex; readonly to: LogIndex; readonly maxBytes: number }
  | { readonly type: "term"; readonly index: LogIndex }
  | { readonly type: "compact"; readonly to: LogIndex }
  | { readonly type: "reset"; readonly index: LogIndex; readonly term: Term }
  | { readonly type: "close" };

export interface Results {
  readonly verifyLog: LogBounds;
  readonly loadMeta: { readonly identity: Uint8Array | null; readonly hardState: Uint8Array | null };
  readonly saveIdentity: undefined;
  readonly write: undefined;
  /** Packed entries. */
  readonly read: Uint8Array;
  readonly term: Term;
  readonly compact: undefined;
  readonly reset: undefined;
  readonly close: undefined;
}

export interface NumberedRequest {
  readonly id: number;
  readonly request: Request;
}

export type Answer =
  | { readonly id: number; readonly ok: true; readonly value: Results[keyof Results] }
  | { readonly id: number; readonly ok: false; readonly code: ErrorCode; readonly detail: string };

/** How the worker reports that the database is open, or why it is not. */
export const OPENING_ID = 0;

/**
 * What the worker is started with. `bell` counts the messages that were posted: the worker sleeps on it instead of in an
 * event loop, out of which a message would need four calls into the system to get to it.
 */
export type WorkerData = DatabaseOptions & { readonly bell: Int32Array };
