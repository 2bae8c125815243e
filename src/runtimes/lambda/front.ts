import { openStoredLog } from "../../adapters/object-store/index.ts";
import { EngineError } from "../../core/errors/index.ts";
import type { Logger } from "../../core/node/index.ts";
import { readBytes } from "../http/body.ts";
import { clientGuard, type Guard } from "../http/client-auth.ts";
import { replyToError } from "../http/errors.ts";
import { readsEventually } from "../http/etcd/read-policy.ts";
import { createApp } from "../http/index.ts";
import { rawPath } from "../http/raw-path.ts";
import { nodeBase64 } from "../node/node-base64.ts";
import { nodeClock } from "../node/node-clock.ts";
import { nodeRandom } from "../node/node-random.ts";
import { openObjectStore } from "../node/storage/open-object-store.ts";
import { VERSION } from "../node/version.ts";
import { Nodes } from "./ask-nodes.ts";
import { type Deadline, halfOf } from "./deadline.ts";
import type { FrontConfig, StoredPlace } from "./front-config.ts";
import { SharedStore } from "./shared-store.ts";
import { StoredReads } from "./stored-reads.ts";
import { endingInTime } from "./stream-end.ts";

/** What is left of an invocation's time when a poll, or a stream, ends by itself. */
const ENDING_MS = 750;
/** The longest that a node is asked to wait is what is left; less than this is not worth asking for. */
const MIN_WAIT_MS = 1;
/** Of the store: not now, ask less; of the copy: only members can say what a user may read. */
const MAY_PASS: readonly number[] = [503, 429, 403];
const DECODER = new TextDecoder();

/** A function in front of nodes: it keeps nothing that matters, and may be many. */
export class LambdaFront {
  readonly #config: FrontConfig;
  readonly #logger: Logger;
  readonly #token: string;
  readonly #guard: Guard;
  readonly #nodes: Nodes | null;
  readonly #reads: StoredReads | null;
  readonly #serveStored: (request: Request) => Response | Promise<Response>;

  constructor(config: FrontConfig, token: string, logger: Logger) {
    this.#config = config;
    this.#token = token;
    this.#logger = logger;
    const auth = { clientToken: token, allowInsecure: false };
    this.#guard = clientGuard(auth, undefined);
    this.#nodes = config.endpoints.length === 0 ? null : new Nodes(config.endpoints);
    const { store, maxAgeMs, maxStateBytes } = config;
    this.#reads =
      store === null ? null : new StoredReads({ open: () => openStored(store), maxAgeMs, maxStateBytes });
    const engine = this.#reads?.engine;
    const app =
      engine === undefined ? null : createApp({ engine, auth, version: VERSION, base64: nodeBase64, logger });
    this.#serveStored = (request) => app!.fetch(request);
  }

  /** Answers a request; whatever goes wrong is an answer too. */
  async fetch(request: Request, deadline: Deadline): Promise<Response> {
    try {
      const refusal = this.#guard(request);
      if (refusal !== null) return refusal;
      const hasBody = request.method !== "GET" && request.method !== "HEAD";
      // Base64 makes keys and values a third larger.
      const maxBytes = Math.ceil(this.#config.maxRequestBytes * 1.4) + (64 << 10);
      const body = hasBody ? await readBytes(request, maxBytes) : null;
      if (this.#reads !== null && isEventual(request, body)) {
        const stored = await this.#readStored(request, body, deadline);
        if (stored !== null) return stored;
      }
      return await this.#askNodes(request, body, deadline);
    } catch (error) {
      return replyToError(error, this.#logger);
    }
  }

  /** Null: the store cannot say, but a node may. */
  async #readStored(request: Request, body: Uint8Array | null, deadline: Deadline): Promise<Response | null> {
    const { url, method } = request;
    const headers = new Headers(request.headers);
    // Users there are only where members answer; the door has been passed.
    headers.delete("Token");
    headers.set("Authorization", `Bearer ${this.#token}`);
    const copy = new Request(url, { method, headers, body: body as Uint8Array<ArrayBuffer> | null });
    // Where there are nodes, half of the time is for them.
    const time = this.#nodes === null ? deadline : halfOf(deadline);
    const response = await this.#reads!.within(time, () => this.#serveStored(copy));
    const mayHelp = MAY_PASS.includes(response.status);
    return this.#nodes !== null && mayHelp ? null : response;
  }

  async #askNodes(request: Request, body: Uint8Array | null, deadline: Deadline): Promise<Response> {
    if (this.#nodes === null) {
      throw new EngineError("unimplemented", {
        detail: "this function has no nodes (D_ENGINE_ENDPOINTS): it serves eventual reads of keys only",
      });
    }
    const path = rawPath(request);
    const target = this.#targetOf(request, path, deadline);
    const response = await this.#nodes.ask({ request, target, body, deadline });
    return endingInTime(response, Math.max(0, deadline.leftMs() - ENDING_MS));
  }

  /** Path and query for a node: a poll ends while there is time to answer. */
  #targetOf({ url }: Request, path: string, deadline: Deadline): string {
    const query = url.indexOf("?");
    const search = query === -1 ? "" : url.slice(query);
    const wait = path === "/watch" ? /[?&]wait=([0-9]{1,9})(ms|s)(?=&|$)/.exec(search) : null;
    if (!this.#config.streaming && (isEndless(path) || (path === "/watch" && wait === null))) {
      throw new EngineError("unimplemented", {
        detail:
          "answers of this function leave in one piece: poll with /watch?wait=, or set D_ENGINE_STREAMING=true",
      });
    }
    if (wait === null) return path + search;
    const askedMs = Number(wait[1]) * (wait[2] === "s" ? 1000 : 1);
    const waitMs = Math.max(MIN_WAIT_MS, Math.min(askedMs, Math.floor(deadline.leftMs() - ENDING_MS)));
    const start = wait.index + 1;
    return `${path}${search.slice(0, start)}wait=${waitMs}ms${search.slice(wait.index + wait[0].length)}`;
  }
}

/** Streams that end only when the client goes away. */
function isEndless(path: string): boolean {
  return /^\/v3(?:beta)?\/(?:watch|election\/observe)$/.test(path);
}

function isEventual(request: Request, body: Uint8Array | null): boolean {
  const path = rawPath(request);
  if (body !== null) return request.method === "POST" && readsEventually(path, DECODER.decode(body));
  const isKey = path === "/kv" || path.startsWith("/kv/");
  return isKey && new URL(request.url).searchParams.get("consistency") === "eventual";
}

async function openStored({ location, prefix }: StoredPlace): Promise<ReturnType<typeof openStoredLog>> {
  const shared = new SharedStore(() => openObjectStore(location, prefix, { readOnly: true }), nodeClock);
  return openStoredLog({ store: await shared.lend(), clock: nodeClock, random: nodeRandom });
}
