// The Worker of test/runtimes/workers, whose objects can be harmed, here in the middle of a write as well; and in which
// each object can be asked by itself. An HTTP request from outside says what is to be done.

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

export class RaftObject extends Observed {
  readonly #trap: WriteTrap;

  constructor(...[state, env]: Arguments) {
    const trap = new WriteTrap(state);
    super(state, env);
    this.#trap = trap;
  }

  override async fetch(request: Request): Promise<Response> {
    const harm = request.headers.get("X-Harm");
    if (harm !== "abort-when=written" && harm !== "abort-when=durable") return await super.fetch(request);
    this.#trap.set = harm === "abort-when=written" ? "written" : "durable";
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
