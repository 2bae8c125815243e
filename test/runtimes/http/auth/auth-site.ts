import type { Hono } from "hono";
import type { KvEngine } from "../../../../src/core/node/index.ts";
import type { AppOptions } from "../../../../src/runtimes/http/index.ts";
import { startLoneEngine } from "../../../core/node/lone-engine.ts";
import { testApp } from "../test-app.ts";

/** A real engine of one member, and its app, to be asked in JSON. */
export class AuthSite {
  readonly engine: KvEngine;
  readonly app: Hono;

  private constructor(engine: KvEngine, app: Hono) {
    this.engine = engine;
    this.app = app;
  }

  static async start(options: Partial<AppOptions> = {}): Promise<AuthSite> {
    const engine = await startLoneEngine();
    return new AuthSite(engine, testApp(engine, options).app);
  }

  /** Posts JSON; resolves with what came, and its status. */
  async ask(
    path: string,
    body: object = {},
    token?: string,
  ): Promise<{ readonly status: number; readonly reply: Readonly<Record<string, unknown>> }> {
    const headers: Record<string, string> = token === undefined ? {} : { Authorization: token };
    const request = { method: "POST", body: JSON.stringify(body), headers };
    const response = await this.app.request(`/v3${path}`, request);
    const text = await response.text();
    return { status: response.status, reply: JSON.parse(text.split("\n")[0]!) as Record<string, unknown> };
  }

  /** As `ask`, for what must work. */
  async done(path: string, body: object = {}, token?: string): Promise<Readonly<Record<string, unknown>>> {
    const { status, reply } = await this.ask(path, body, token);
    if (status !== 200 || reply["error"] !== undefined) {
      throw new Error(`${path}: ${status} ${JSON.stringify(reply)}`);
    }
    return reply;
  }

  async logIn(name: string, password: string = passwordOf(name)): Promise<string> {
    const { token } = await this.done("/auth/authenticate", { name, password });
    return token as string;
  }

  /**
   * Makes root, and a role and a user who may read and write what begins with `a/`, and a user who may do nothing; and
   * switches authentication on.
   */
  async switchOn(): Promise<void> {
    for (const name of ["root", "alice", "bob"]) {
      await this.done("/auth/user/add", { name, password: passwordOf(name) });
    }
    await this.done("/auth/role/add", { name: "root" });
    await this.done("/auth/user/grant", { user: "root", role: "root" });
    await this.done("/auth/role/add", { name: "a" });
    const perm = { permType: "READWRITE", key: b64("a/"), range_end: b64("a0") };
    await this.done("/auth/role/grant", { name: "a", perm });
    await this.done("/auth/user/grant", { user: "alice", role: "a" });
    await this.done("/auth/enable");
  }
}

export function passwordOf(name: string): string {
  return `${name}'s password`;
}

export function b64(text: string): string {
  return Buffer.from(text).toString("base64");
}
