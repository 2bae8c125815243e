import { createAdaptorServer } from "@hono/node-server";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "../../../src/runtimes/node/cli/run.ts";
import { AuthSite } from "../http/auth/auth-site.ts";
import { FakeTerminal } from "./fake-terminal.ts";

let site: AuthSite;
let server: Server;
let endpoint: string;

beforeAll(async () => {
  site = await AuthSite.start();
  server = createAdaptorServer({ fetch: site.app.fetch }) as Server;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await site.engine.stop();
});

/** Runs a command line whose words have no spaces; gives its exit code and what it printed. */
async function cli(line: string, terminal = new FakeTerminal()): Promise<readonly [number, string]> {
  terminal.env["D_ENGINE_ENDPOINTS"] = endpoint;
  const code = await run(line.split(" "), terminal);
  return [code, terminal.output + terminal.errors];
}

function typing(...secrets: string[]): FakeTerminal {
  const terminal = new FakeTerminal();
  terminal.secrets.push(...secrets);
  return terminal;
}

const AS_ROOT = { D_ENGINE_USER: "root", D_ENGINE_PASSWORD: "r00t" };
const root = (): FakeTerminal => new FakeTerminal({ ...AS_ROOT });

describe("d-engine auth, user and role", () => {
  it("set a cluster up, and it asks everybody who they are from then on", async () => {
    expect(await cli("user add root", typing("r00t"))).toEqual([0, "user root added\nPassword of root: "]);
    expect(await cli("user grant-role root root")).toEqual([0, "granted\n"]);
    expect(await cli("user add alice:wonder")).toEqual([0, "user alice added\n"]);
    expect(await cli("user add ghost --no-password")).toEqual([0, "user ghost added\n"]);
    expect(await cli("role add a")).toEqual([0, "added\n"]);
    expect(await cli("role grant-permission a readwrite a/ --prefix")).toEqual([0, "granted\n"]);
    expect(await cli("role grant-permission a read b c")).toEqual([0, "granted\n"]);
    expect(await cli("role grant-permission a write x --from-key")).toEqual([0, "granted\n"]);
    expect(await cli("user grant-role alice a")).toEqual([0, "granted\n"]);
    // Where nobody is asked, a user is no hindrance.
    expect((await cli("put a/k v", root()))[0]).toBe(0);
    expect(await cli("auth enable")).toEqual([0, "authentication is on\n"]);
    expect(await cli("get a/k")).toEqual([1, "etcdserver: user name is empty\n"]);
  });

  it("lets users do what they may", async () => {
    expect(await cli("get a/k --user alice:wonder")).toEqual([0, "v\n"]);
    expect(await cli("get a/k --user alice", typing("wonder"))).toEqual([0, "v\nPassword of alice: "]);
    expect(await cli("put b v --user alice:wonder")).toEqual([1, "etcdserver: permission denied\n"]);
    expect(await cli("get a/k --user alice:wrong")).toEqual([
      1,
      "logging in: etcdserver: authentication failed, invalid user ID or password\n",
    ]);
    expect((await cli("auth status", root()))[1]).toMatch(/^authentication is on, auth revision [0-9]+\n$/);
    expect(await cli("auth status --user alice:wonder")).toEqual([1, "etcdserver: permission denied\n"]);
  });

  it("print what there is", async () => {
    expect(await cli("user list", root())).toEqual([0, "alice\nghost\nroot\n"]);
    expect(await cli("role list", root())).toEqual([0, "a\n"]);
    expect(await cli("user get alice --user alice:wonder")).toEqual([0, "User: alice\nRoles: a\n"]);
    const [, roles] = await cli("role get a", root());
    expect(roles.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["ACCESS", "KEY", "END"],
      ["readwrite", "a/", "a0"],
      ["read", "b", "c"],
      ["write", "x", "(and all after it)"],
      [""],
    ]);
    const [, json] = await cli("user get alice --json", root());
    expect(JSON.parse(json)).toMatchObject({ roles: ["a"] });
  });

  it("take back what was given, and change passwords", async () => {
    expect(await cli("role revoke-permission a a/ --prefix", root())).toEqual([0, "revoked\n"]);
    expect(await cli("get a/k --user alice:wonder")).toEqual([1, "etcdserver: permission denied\n"]);
    const terminal = root();
    terminal.secrets.push("other");
    expect((await cli("user passwd alice", terminal))[0]).toBe(0);
    expect((await cli("get b --user alice:other"))[0]).toBe(3);
    const people = root();
    people.asksPeople = true;
    people.secrets.push("one", "two");
    expect((await cli("user passwd alice", people))[0]).toBe(2);
    expect((await cli("user passwd alice", root()))[0]).toBe(2);
    expect(await cli("user revoke-role alice a", root())).toEqual([0, "revoked\n"]);
    expect(await cli("user delete alice", root())).toEqual([0, "deleted\n"]);
    expect(await cli("role delete a", root())).toEqual([0, "deleted\n"]);
    expect(await cli("auth disable", root())).toEqual([0, "authentication is off\n"]);
    expect(await cli("get a/k")).toEqual([0, "v\n"]);
  });

  it.each([
    "auth",
    "auth on",
    "user",
    "user add",
    "user forget x",
    "role grant-permission",
    "role grant-permission r",
    "role grant-permission r all k",
    "role grant-permission r read",
    "role grant-permission r read k l m",
    "role grant-permission r read k l --prefix",
    "role revoke-permission r k --prefix --from-key",
  ])("refuse %j as it is no command", async (line) => {
    expect((await cli(line))[0]).toBe(2);
  });
});
