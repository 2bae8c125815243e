import { createServer, request as forward, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { prefixRange } from "../../../src/core/node/index.ts";
import { EmbeddedEngine } from "../../../src/runtimes/node/index.ts";
import { run } from "../../../src/runtimes/node/cli/run.ts";
import { FakeTerminal } from "./fake-terminal.ts";
import { freePorts } from "./free-ports.ts";
import { removeTempDirs, tempDir } from "./temp-dirs.ts";

/** A way to the server that forgets its client, but not what the client had asked for. */
class ForgetfulFront {
  readonly #server = createServer((request, response) => void this.#pass(request, response));
  readonly #upstream: ReturnType<typeof forward>[] = [];
  readonly #to: string;
  /** Requests that take their time and were passed on. */
  waiting = 0;

  constructor(to: string) {
    this.#to = to;
  }

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** From now on it takes no requests, and whoever waits here is cut off. */
  cut(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** The server learns that nobody waits any more. */
  notice(): void {
    for (const each of this.#upstream) each.destroy();
  }

  async #pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request);
    const { method, headers, url } = request;
    const upstream = forward(`${this.#to}${url}`, { method, headers, agent: false }, (reply) => {
      response.writeHead(reply.statusCode ?? 502);
      reply.pipe(response);
    });
    upstream.on("error", () => response.destroy());
    upstream.end(body);
    if (url !== "/v3/lock/lock" && url !== "/v3/election/campaign") return;
    this.#upstream.push(upstream);
    this.waiting++;
  }
}

describe("a place in a line, when the endpoint that was asked breaks off", () => {
  let engine: EmbeddedEngine;
  let url: string;
  const fronts: ForgetfulFront[] = [];

  beforeAll(async () => {
    url = `http://127.0.0.1:${(await freePorts(1))[0]}`;
    engine = await EmbeddedEngine.start(await tempDir(), { listenClientUrls: url, env: {} });
    await engine.waitReady(30_000);
  });
  afterEach(() => {
    for (const front of fronts.splice(0)) {
      front.notice();
      front.cut();
    }
  });
  afterAll(async () => {
    await engine.stop();
    await removeTempDirs();
  });

  function cli(args: readonly string[], endpoints: string) {
    const terminal = new FakeTerminal({ D_ENGINE_ENDPOINTS: endpoints });
    return { terminal, exitCode: run(args, terminal) };
  }

  /** The places, first come first. */
  async function inLine(name: string): Promise<readonly string[]> {
    const { kvs } = await engine.engine.range(prefixRange(new TextEncoder().encode(`${name}/`)));
    return [...kvs]
      .sort((a, b) => a.createRevision - b.createRevision)
      .map(({ key }) => new TextDecoder().decode(key));
  }

  it.each([
    ["lock", ["--ttl=30"]],
    ["elect", ["me", "--ttl=30"]],
  ])(
    "%s asks another with a lease of its own, which the first cannot take away later",
    async (command, rest) => {
      const holder = cli([command, command, ...rest], url);
      await vi.waitFor(() => expect(holder.terminal.output).not.toBe(""), { timeout: 30_000 });
      const front = new ForgetfulFront(url);
      fronts.push(front);
      const waiter = cli([command, command, ...rest], `${await front.open()},${url}`);
      await vi.waitFor(
        async () => expect([front.waiting, await inLine(command)]).toMatchObject([1, { length: 2 }]),
        {
          timeout: 30_000,
        },
      );
      const [, first] = await inLine(command);
      front.cut();
      // Its old place goes with its lease, and it has a new one.
      await vi.waitFor(
        async () => {
          const places = await inLine(command);
          expect(places).toHaveLength(2);
          expect(places).not.toContain(first);
        },
        { timeout: 30_000 },
      );
      const [, second] = await inLine(command);
      front.notice();
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(await inLine(command)).toContain(second);

      holder.terminal.interruption.abort();
      expect(await holder.exitCode).toBe(0);
      await vi.waitFor(() => expect(waiter.terminal.output).toContain(second), { timeout: 30_000 });
      expect(await inLine(command)).toEqual([second]);
      waiter.terminal.interruption.abort();
      expect(await waiter.exitCode).toBe(0);
      expect(await inLine(command)).toEqual([]);
    },
  );
});
