import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EmbeddedEngine } from "../../../src/runtimes/node/index.ts";
import { run } from "../../../src/runtimes/node/cli/run.ts";
import { parseComparison, parseOperation } from "../../../src/runtimes/node/cli/txn-text.ts";
import { FakeTerminal } from "./fake-terminal.ts";
import { freePorts } from "./free-ports.ts";
import { removeTempDirs, tempDir } from "./temp-dirs.ts";

function b64(text: string): string {
  return Buffer.from(text).toString("base64");
}

describe("the notation of transactions", () => {
  it.each([
    ['mod("k") > "0"', { target: "MOD", result: "GREATER", mod_revision: "0" }],
    ['m("k") = "7"', { target: "MOD", result: "EQUAL", mod_revision: "7" }],
    ['create("k")!="1"', { target: "CREATE", result: "NOT_EQUAL", create_revision: "1" }],
    ['  ver("k") <  "3" ', { target: "VERSION", result: "LESS", version: "3" }],
    ['value("k") = "a \\"b\\" \\u00e9\\n"', { target: "VALUE", result: "EQUAL", value: b64('a "b" é\n') }],
    ['lease("k") = "ff"', { target: "LEASE", result: "EQUAL", lease: "255" }],
    ['lease("k") = "0"', { target: "LEASE", result: "EQUAL", lease: "0" }],
  ])("compares: %s", (line, expected) => {
    expect(parseComparison(line)).toEqual({ key: b64("k"), ...expected });
  });

  it.each([
    ["put k v", { request_put: { key: b64("k"), value: b64("v") } }],
    ["put 'a key' \"a \\x41 value\"", { request_put: { key: b64("a key"), value: b64("a A value") } }],
    ["put k 'x'\"y\"z --prev-kv", { request_put: { value: b64("xyz"), prev_kv: true } }],
    ['put k ""', { request_put: { value: "" } }],
    ["put k v --lease=1f", { request_put: { lease: "31" } }],
    ["put k --ignore-value", { request_put: { ignore_value: true } }],
    ["put -- -k -v", { request_put: { key: b64("-k"), value: b64("-v") } }],
    ["get k --limit 3 --rev=7", { request_range: { key: b64("k"), limit: "3", revision: "7" } }],
    ["get p/ --prefix", { request_range: { key: b64("p/"), range_end: b64("p0") } }],
    ["del p/ --prefix", { request_delete_range: { key: b64("p/"), range_end: b64("p0") } }],
  ])("does: %s", (line, expected) => {
    expect(parseOperation(line)).toMatchObject(expected);
  });

  it.each([
    ["mod(k) > 0", "is not of the form"],
    ['mod("k") >= "0"', "is not of the form"],
    ['size("k") = "1"', '"size" in'],
    ['mod("k") = "many"', "must be a whole number"],
    ['value("k") = "\\q"', "means nothing"],
    ['value("k") = "\\xff"', "is no character"],
    ['value("k") = "\\UFFFFFFFF"', "is no character"],
  ])("refuses %s", (line, problem) => {
    expect(() => parseComparison(line)).toThrow(problem);
  });

  it.each([
    ["", "must begin with"],
    ["constructor k", "must begin with"],
    ["put k", "a key and a value"],
    ["get", "must have a key"],
    ["get a b", "must have a key"],
    ['put k "open', "is not closed"],
    ["get k --frefix", "did you mean"],
  ])("refuses to do %j", (line, problem) => {
    expect(() => parseOperation(line)).toThrow(problem);
  });
});

describe("d-engine txn", () => {
  let engine: EmbeddedEngine;
  let url: string;

  beforeAll(async () => {
    url = `http://127.0.0.1:${(await freePorts(1))[0]}`;
    engine = await EmbeddedEngine.start(await tempDir(), { listenClientUrls: url, env: {} });
    await engine.waitReady(30_000);
  });
  afterAll(async () => {
    await engine.stop();
    await removeTempDirs();
  });

  async function txn(lines: readonly string[], ...args: string[]) {
    const input = new TextEncoder().encode(`${lines.join("\n")}\n`);
    const terminal = new FakeTerminal({ D_ENGINE_ENDPOINTS: url }, input);
    const exitCode = await run(["txn", ...args], terminal);
    return { exitCode, output: terminal.output, errors: terminal.errors };
  }

  it("does the one or the other, and prints it as etcdctl does", async () => {
    const lines = [
      'mod("k") > "0"',
      "",
      "put k again --prev-kv",
      "get k",
      "del a/ --prefix",
      "",
      "put k once",
      "put a/1 x",
      "",
    ];
    expect(await txn(lines)).toEqual({ exitCode: 0, output: "FAILURE\n\nOK\n\nOK\n", errors: "" });
    expect(await txn(lines)).toEqual({
      exitCode: 0,
      output: "SUCCESS\n\nOK\nk\nonce\n\nk\nagain\n\n1\n",
      errors: "",
    });
    const json = await txn(["", "put k 1", "get k"], "--json");
    expect(JSON.parse(json.output)).toMatchObject({
      succeeded: true,
      responses: [{ response_put: {} }, { response_range: { kvs: [{ value: b64("1") }] } }],
    });
  });

  it("says what is to be typed, and reads nothing behind the end", async () => {
    const { exitCode, output, errors } = await txn(["", "put a b", "", "", "no such command"], "-i");
    expect([exitCode, output]).toEqual([0, "SUCCESS\n\nOK\n"]);
    expect(errors).toBe("compares:\nsuccess requests (get, put, del):\nfailure requests (get, put, del):\n");
  });

  it("does nothing when a line is wrong, or the server refuses", async () => {
    const { revision } = engine.engine.status();
    expect(await txn(["", "put a c", "set a d"])).toMatchObject({ exitCode: 2, output: "" });
    expect(await txn(["", "put a c", "put a d"])).toMatchObject({
      exitCode: 1,
      errors: "etcdserver: duplicate key given in txn request\n",
    });
    expect(engine.engine.status().revision).toBe(revision);
  });
});
