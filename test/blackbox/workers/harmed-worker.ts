// The Worker of test/runtimes/workers, whose objects can be harmed, here in the middle of a write as well; and in which
// each object can be asked by itself. An HTTP request from outside says what is to be done.

import { PEER_PATH } from "../../../src/runtimes/http/peer/index.ts";
import type { ObjectNamespace } from "../../../src/runtimes/workers/index.ts";
import observed, { RaftObject as Observed } from "../../runtimes/workers/observed-worker.ts";

type Arguments = ConstructorParameters<typeof Observed>;

/** Ends an object when it next writes to its log. */
class WriteTrap {
  /** Before the write is safe, or when it is and nobody has heard of it yet. */
  set: "written" | "durable" | null = null;

  constructor(state: Arguments[0]) {
    const { storage } = state;
    const { sql } = storage;
    const exec = sql.exec.bind(sql);
    const sync = storage.sync.bind(storage);
    let written = false;
    sql.exec = (query, ...bindings) => {
      const cursor = exec(query, ...bindings);
      if (this.set !== null && query.includes("INTO d_engine_log")) {
        written = true;
        if (this.set === "written") state.abort("a write is not safe yet");
      }
      return cursor;
    };
    storage.sync = async () => {
      await sync();
      if (written) state.abort("a write is safe, and nobody knows");
    };
  }
}

/** Where an envelope between members has its version. */
const VERSION_OFFSET = 4;

/** Makes what is said between an object and its peers come as from another version of the code, both ways. */
class Estrangement {
  active = false;
  /** The environment as the node under test is given it. */
  readonly env: Arguments[1];

  constructor(env: Arguments[1]) {
    const { RAFT } = env as { readonly RAFT: ObjectNamespace };
    const namespace: ObjectNamespace = {
      idFromName: (name) => RAFT.idFromName(name),
      get: (id, options) => {
        const stub = RAFT.get(id, options);
        return { fetch: (url, init = {}) => stub.fetch(url, { ...init, body: this.#told(init.body) }) };
      },
    };
    this.env = { ...env, RAFT: namespace };
  }

  #told(body: RequestInit["body"] = null): Uint8Array<ArrayBuffer> {
    const bytes = Uint8Array.from(body as Uint8Array);
    if (this.active) bytes[VERSION_OFFSET]! += 1;
    return bytes;
  }

  async heard(request: Request): Promise<Request> {
    if (!this.active || new URL(request.url).pathname !== PEER_PATH) return request;
    const { url, method, headers } = request;
    const body = this.#told(new Uint8Array(await request.arrayBuffer()));
    return new Request(url, { method, headers, body });
  }
}

export class RaftObject extends Observed {
  readonly #trap: WriteTrap;
  readonly #estrangement: Estrangement;

  constructor(...[state, env]: Arguments) {
    const trap = new WriteTrap(state);
    const estrangement = new Estrangement(env);
    super(state, estrangement.env);
    this.#trap = trap;
    this.#estrangement = estrangement;
  }

  override async fetch(request: Request): Promise<Response> {
    const harm = request.headers.get("X-Harm");
    if (harm === "abort-when=written") this.#trap.set = "written";
    else if (harm === "abort-when=durable") this.#trap.set = "durable";
    else if (harm?.startsWith("estranged=") === true) this.#estrangement.active = harm.endsWith("=yes");
    else return await super.fetch(await this.#estrangement.heard(request));
    return new Response(null, { status: 204 });
  }
}

type Env = Parameters<typeof observed.fetch>[1] & { readonly DEPLOYMENT?: string };

export default {
  /** `X-Ask-Object: GROUP/NODE` goes to that object alone, as a client's request. */
  async fetch(request: Request, env: Env): Promise<Response> {
    if (request.headers.has("X-Ask-Deployment")) return new Response(env.DEPLOYMENT);
    const object = request.headers.get("X-Ask-Object");
    if (object === null) return await observed.fetch(request, env);
    const headers = new Headers(request.headers);
    headers.set("X-D-Engine-Object", object);
    const body = request.method === "POST" ? await request.text() : null;
    const init = { method: request.method, headers, body };
    return await env.RAFT.get(env.RAFT.idFromName(object)).fetch(request.url, init);
  },
};
