// A client's end of a WebSocket to the Worker.

import { CLIENT_TOKEN, type LocalCluster } from "./local-cluster.ts";

interface Reply {
  readonly result?: {
    readonly watch_id?: string;
    readonly header?: { readonly revision?: string };
    readonly created?: boolean;
    readonly canceled?: boolean;
    readonly compact_revision?: string;
    readonly cancel_reason?: string;
    readonly events?: readonly { readonly kv: { readonly key: string; readonly mod_revision: string } }[];
    readonly ID?: string;
    readonly TTL?: string;
    readonly kv?: { readonly value: string };
  };
  readonly error?: { readonly message: string };
}

/** Remembers all that it is told. */
export class SocketClient {
  readonly #socket: WebSocket;
  readonly replies: Reply[] = [];
  readonly texts: string[] = [];
  closeCode: number | null = null;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      const text = String(data);
      if (text.startsWith("{")) this.replies.push(JSON.parse(text) as Reply);
      else this.texts.push(text);
    });
    socket.addEventListener("close", ({ code }) => {
      this.closeCode = code;
    });
  }

  /** @param userToken of whom it is, where that is asked. */
  static async open(
    cluster: LocalCluster,
    path: string = "/v3/watch",
    userToken?: string,
  ): Promise<SocketClient> {
    const url = cluster.url.replace("http", "ws") + path;
    const user = userToken === undefined ? [] : ["user", userToken];
    const socket = new WebSocket(url, ["bearer", CLIENT_TOKEN, ...user]);
    const client = new SocketClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener("open", () => resolve());
      socket.addEventListener("error", () => reject(new Error("the WebSocket was refused")));
    });
    return client;
  }

  send(message: object | string): void {
    this.#socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  watch(key: string, more: object = {}): void {
    this.send({ create_request: { key: btoa(key), ...more } });
  }

  get created(): number {
    return this.replies.filter(({ result }) => result?.created === true).length;
  }

  get canceled(): Reply[] {
    return this.replies.filter(({ result }) => result?.canceled === true);
  }

  /** `key@revision`, in the order in which they came. */
  get events(): string[] {
    return this.replies.flatMap(({ result }) =>
      (result?.events ?? []).map(({ kv }) => `${atob(kv.key)}@${kv.mod_revision}`),
    );
  }

  /** What leaders of an observed election proclaim. */
  get proclaimed(): string[] {
    return this.replies.flatMap(({ result }) => (result?.kv === undefined ? [] : [atob(result.kv.value)]));
  }

  get error(): string | undefined {
    return this.replies.find(({ error }) => error !== undefined)?.error?.message;
  }

  close(): void {
    this.#socket.close();
  }
}
