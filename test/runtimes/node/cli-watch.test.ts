import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { EmbeddedEngine } from "../../../src/runtimes/node/index.ts";
import { run } from "../../../src/runtimes/node/cli/run.ts";
import { FakeTerminal } from "./fake-terminal.ts";
import { freePorts } from "./free-ports.ts";
import { removeTempDirs, tempDir } from "./temp-dirs.ts";

describe("d-engine watch", () => {
  let engine: EmbeddedEngine;
  let dataDir: string;
  let url: string;

  async function start(): Promise<void> {
    engine = await EmbeddedEngine.start(dataDir, { listenClientUrls: url, env: {} });
    await engine.waitReady(30_000);
  }

  beforeEach(async () => {
    dataDir = await tempDir();
    url = `http://127.0.0.1:${(await freePorts(1))[0]}`;
    await start();
  });
  afterEach(() => engine.stop());
  afterAll(removeTempDirs);

  async function watching(): Promise<void> {
    await vi.waitFor(() => expect(engine.engine.status().watches.watches).toBe(1), {
      timeout: 30_000,
      interval: 10,
    });
  }

  function cli(...args: string[]): { readonly terminal: FakeTerminal; readonly exitCode: Promise<number> } {
    const terminal = new FakeTerminal({ D_ENGINE_ENDPOINTS: url });
    return { terminal, exitCode: run(["watch", ...args], terminal) };
  }

  it("prints changes as they happen", async () => {
    const client = engine.client();
    const { terminal, exitCode } = cli("a/", "--prefix", "--prev", "--count", "3");
    await watching();
    await client.put("a/1", "one");
    await client.put("b", "other");
    await client.put("a/1", "two");
    await client.delete("a/1");
    expect(await exitCode).toBe(0);
    const printed = ["PUT\na/1\none\n", "PREV\na/1\none\nPUT\na/1\ntwo\n", "PREV\na/1\ntwo\nDELETE\na/1\n\n"];
    expect(terminal.output).toBe(printed.join(""));
  });

  it("begins with the state, or with a revision, and prints the API's words with --json", async () => {
    const client = engine.client();
    const first = await client.put("k", "1");
    await client.put("k", "2");
    const history = cli("k", "--rev", String(first), "--count", "2");
    expect(await history.exitCode).toBe(0);
    expect(history.terminal.output).toBe("PUT\nk\n1\nPUT\nk\n2\n");
    const state = cli("k", "--initial", "--json", "--count", "1");
    expect(await state.exitCode).toBe(0);
    expect(JSON.parse(state.terminal.output)).toMatchObject({
      initial: true,
      events: [{ kv: { value: "Mg==" } }],
    });
  });

  it("goes on where it was when its server comes back, without a gap and without a repetition", async () => {
    const { terminal, exitCode } = cli("k", "--count", "3");
    await watching();
    await engine.client().put("k", "1");
    await vi.waitFor(() => expect(terminal.output).toBe("PUT\nk\n1\n"), { timeout: 30_000, interval: 10 });
    const restarted = engine.stop().then(start);
    await restarted;
    await engine.client().put("k", "2");
    await engine.client().put("k", "3");
    expect(await exitCode).toBe(0);
    expect(terminal.output).toBe("PUT\nk\n1\nPUT\nk\n2\nPUT\nk\n3\n");
  });

  it("says what is compacted, what is wrong, and that nobody is there", async () => {
    const revision = await engine.client().put("k", "1");
    await engine.client().put("k", "2");
    await engine.engine.compact({ revision: revision + 1 });
    const compacted = cli("k", "--rev", String(revision));
    expect(await compacted.exitCode).toBe(1);
    expect(compacted.terminal.errors).toContain(`history begins at revision ${revision + 1}`);
    const both = cli("k", "--rev", "1", "--initial");
    expect(await both.exitCode).toBe(1);
    expect(both.terminal.errors).toContain("exclude each other");
    expect(await cli().exitCode).toBe(2);
    const nobody = new FakeTerminal();
    const [port] = await freePorts(1);
    expect(await run(["watch", "k", "--endpoints", `http://127.0.0.1:${port}`], nobody)).toBe(4);
  });
});
