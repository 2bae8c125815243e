import { EngineError, type ErrorCode, ERRORS } from "../../../core/errors/index.ts";
import type { Revision, WatchEvent } from "../../../core/kv/index.ts";
import type { Engine, WatchCreateRequest, WatchResponse, WatchStream } from "../../../core/node/index.ts";
import type { Base64 } from "../base64.ts";
import { percentEncode, prefixEnd } from "./key-text.ts";
import { bytesJson, kvJson } from "./kv-json.ts";
import { Query } from "./query.ts";

/** How long a poll may last at most. */
export const MAX_POLL_MS = 600_000;

/** Proxies take a connection on which nothing is said for dead, commonly after half a minute or a minute. */
const KEEP_ALIVE_MS = 15_000;

/** What the query string asks for. */
interface Wanted {
  readonly request: WatchCreateRequest;
  /** 0: from now on. */
  readonly start: Revision;
  /** Of the query string: what to watch, for the path of the next poll. */
  readonly target: string;
  /** How long a poll may last; null: not a poll but a stream. */
  readonly waitMs: number | null;
}

/**
 * `GET /watch?key=` or `?prefix=` (empty: every key), with `&rev=` (from that revision on; default: from now on),
 * `&initial=1` (the present state first) and `&prev=1` (what was before).
 *
 * Without more, a stream of server-sent events: `watching` at once; `put` and `delete`, whose data are JSON; `state`
 * for what is there at the beginning, and `synced` at its end; `progress` after a while of quiet; and before it ends by
 * itself `error`, or `compacted`, after which a new connection goes on with the oldest revision that is left. An `id`
 * is the revision up to which everything has been sent: what a browser's EventSource sends as `Last-Event-ID` when it
 * connects anew goes on from there.
 *
 * With `&wait=30s` a long poll: `{"revision": 9, "events": [...], "next": "/watch?..."}` as soon as there is an event,
 * or without any when the time is over. `next` is the path of the next poll, which misses nothing.
 */
export async function watchKeys(engine: Engine, request: Request, base64: Base64): Promise<Response> {
  // Its body would be a stream that nobody reads.
  if (request.method === "HEAD") return new Response(null, { status: 405, headers: { Allow: "GET" } });
  const wanted = wantedBy(request);
  const { start } = wanted;
  // An error now, not later in the stream: a browser would connect anew, over and over.
  if (start > 0 && start < engine.status().compactRevision) throw new EngineError("compacted");
  const stream = engine.watch();
  request.signal.addEventListener("abort", () => stream.close(), { once: true });
  stream.create(wanted.request);
  if (wanted.waitMs !== null) return await poll(stream, wanted, wanted.waitMs, base64);
  return new Response(serverSentEvents(stream, wanted, base64), {
    headers: {
      "Content-Type": "text/event-stream",
      "Cache-Control": "no-store",
      // nginx would keep events until it has some kilobytes of them.
      "X-Accel-Buffering": "no",
    },
  });
}

function wantedBy(request: Request): Wanted {
  const query = new Query(request.url, ["key", "prefix", "rev", "initial", "prev", "wait"]);
  const key = query.bytes("key");
  const prefix = query.bytes("prefix");
  if ((key === undefined) === (prefix === undefined)) {
    throw new EngineError("invalidArgument", { detail: "one of ?key and ?prefix is needed" });
  }
  if (key?.length === 0) throw new EngineError("emptyKey");
  const range =
    prefix === undefined
      ? { key: key! }
      : { key: prefix.length === 0 ? new Uint8Array(1) : prefix, rangeEnd: prefixEnd(prefix) };
  const rev = query.integer("rev", 0, Number.MAX_SAFE_INTEGER) ?? 0;
  const initialState = query.flag("initial");
  if (initialState && rev > 0) {
    throw new EngineError("invalidArgument", { detail: "?initial and ?rev exclude each other" });
  }
  const resumed = lastEventId(request.headers);
  const start = resumed === null ? rev : resumed + 1;
  const prevKv = query.flag("prev");
  const name = prefix === undefined ? "key" : "prefix";
  return {
    request: {
      ...range,
      startRevision: start,
      initialState: initialState && resumed === null,
      prevKv,
      progressNotify: true,
    },
    start,
    target: `${name}=${percentEncode(key ?? prefix!)}${prevKv ? "&prev=1" : ""}`,
    waitMs: query.duration("wait", MAX_POLL_MS) ?? null,
  };
}

function lastEventId(headers: Headers): Revision | null {
  const id = headers.get("Last-Event-ID");
  if (id === null || id === "") return null;
  if (!/^[0-9]{1,15}$/.test(id))
    throw new EngineError("invalidArgument", { detail: "Last-Event-ID: not one of ours" });
  return Number(id);
}

/** Waits for the first changes, or the state, and gives them with a way to go on. */
async function poll(stream: WatchStream, wanted: Wanted, waitMs: number, base64: Base64): Promise<Response> {
  // With nothing to tell when the time is over, it says how far it has got.
  const timer = setTimeout(() => stream.requestProgress(), waitMs);
  let revision = 0;
  let events: object[] = [];
  try {
    for await (const response of stream) {
      refuseEnd(response);
      if (response.created) continue;
      ({ revision } = response.header);
      events = events.concat(response.events.map((event) => eventJson(event, response.initial, base64)));
      if (!response.fragment) break;
    }
  } finally {
    clearTimeout(timer);
  }
  const next = `/watch?${wanted.target}&rev=${Math.max(revision + 1, wanted.start)}&wait=${waitMs}ms`;
  return new Response(JSON.stringify({ revision, events, next }), {
    headers: { "Content-Type": "application/json", "Cache-Control": "no-store" },
  });
}

function refuseEnd({ canceled, compactRevision, cancelReason }: WatchResponse): void {
  if (!canceled) return;
  if (compactRevision > 0) throw new EngineError("compacted");
  throw new EngineError(codeOf(cancelReason), { detail: cancelReason });
}

/** Why a watch has ended: in the words of an error of the table, or of its own. */
function codeOf(cancelReason: string): ErrorCode {
  const codes = Object.keys(ERRORS) as ErrorCode[];
  return codes.find((code) => ERRORS[code][1] === cancelReason) ?? "invalidArgument";
}

const ENCODER = new TextEncoder();

function serverSentEvents(stream: WatchStream, wanted: Wanted, base64: Base64): ReadableStream<Uint8Array> {
  let next: Promise<WatchResponse | null> | null = null;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        let response: WatchResponse | null;
        try {
          next ??= stream.next();
          const first = await orQuiet(next);
          if (first === "quiet") return controller.enqueue(ENCODER.encode(":\n\n"));
          next = null;
          response = first;
        } catch (error) {
          stream.close();
          if (!(error instanceof EngineError)) throw error;
          controller.enqueue(
            ENCODER.encode(block("error", null, { code: error.code, message: error.message })),
          );
          return controller.close();
        }
        if (response !== null) controller.enqueue(ENCODER.encode(responseText(response, wanted, base64)));
        if (response !== null && !response.canceled) return;
        stream.close();
        controller.close();
      },
      cancel: () => stream.close(),
    },
    { highWaterMark: 0 },
  );
}

/** The response, or "quiet" after a while without one. */
async function orQuiet(next: Promise<WatchResponse | null>): Promise<WatchResponse | null | "quiet"> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const quiet = new Promise<"quiet">((resolve) => {
    timer = setTimeout(() => resolve("quiet"), KEEP_ALIVE_MS);
  });
  try {
    return await Promise.race([next, quiet]);
  } finally {
    clearTimeout(timer);
  }
}

function responseText(response: WatchResponse, { start, request }: Wanted, base64: Base64): string {
  const { header, created, canceled, compactRevision, cancelReason, initial, fragment, events } = response;
  const { revision } = header;
  if (canceled && compactRevision > 0) {
    // Whoever connects anew goes on with what is left.
    return block("compacted", compactRevision - 1, { compact_revision: compactRevision });
  }
  if (canceled) return block("error", null, { code: codeOf(cancelReason), message: cancelReason });
  if (created) {
    const told = start > 0 ? start - 1 : revision;
    return block("watching", request.initialState === true ? null : told, { revision });
  }
  if (initial) {
    const state = events.map((event) => block("state", null, eventJson(event, true, base64))).join("");
    return fragment ? state : state + block("synced", revision, { revision });
  }
  if (events.length === 0) return block("progress", revision, { revision });
  return events.map((event, i) => eventText(event, idAfter(events, i, revision), base64)).join("");
}

/** Only the last change of a revision has an id: whoever goes on after it must not miss the others. */
function idAfter(events: readonly WatchEvent[], index: number, told: Revision): Revision | null {
  const next = events[index + 1];
  if (next === undefined) return told;
  const { modRevision } = events[index]!.kv;
  return next.kv.modRevision === modRevision ? null : modRevision;
}

function eventText(event: WatchEvent, id: Revision | null, base64: Base64): string {
  return block(event.type, id, eventJson(event, false, base64));
}

function eventJson({ type, kv, prevKv }: WatchEvent, initial: boolean, base64: Base64): object {
  return {
    type,
    ...(initial ? { initial } : {}),
    ...(type === "put"
      ? kvJson(kv, false, base64)
      : { ...bytesJson("key", kv.key, base64), mod_revision: kv.modRevision }),
    ...(prevKv === null ? {} : { prev: kvJson(prevKv, false, base64) }),
  };
}

/** One server-sent event. JSON has no line breaks. */
function block(event: string, id: Revision | null, data: object): string {
  return `event: ${event}\n${id === null ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`;
}
