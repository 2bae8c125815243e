import { afterEach, describe, expect, it } from "vitest";
import type { AppliedCommand, StateMachine, StateSnapshot } from "../../../src/core/node/index.ts";
import { EmbeddedStateMachine, type EmbeddedOptions } from "../../../src/runtimes/node/index.ts";
import { freePorts } from "./free-ports.ts";
import { removeTempDirs, tempDir } from "./temp-dirs.ts";

const QUICK = { logger: { log: () => undefined }, env: {}, heartbeatInterval: 50, electionTimeout: 300 };

/** Adds up numbers, each command one of them as text. */
class Sum implements StateMachine<number> {
  total = 0;
  restored = 0;

  applyChunk(commands: readonly AppliedCommand[]): number[] {
    return commands.map(({ command }) => (this.total += Number(new TextDecoder().decode(command))));
  }

  snapshot(): StateSnapshot {
    const content = new TextEncoder().encode(String(this.total));
    return { chunks: () => [content], release: () => undefined };
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let content = "";
    for await (const chunk of chunks) content += new TextDecoder().decode(chunk);
    this.total = Number(content);
    this.restored++;
  }
}

const number = (value: number): Uint8Array => new TextEncoder().encode(String(value));

const members: EmbeddedStateMachine<number>[] = [];

async function start(
  dir: string,
  sum: Sum,
  options: EmbeddedOptions = {},
): Promise<EmbeddedStateMachine<number>> {
  const member = await EmbeddedStateMachine.start(dir, sum, { ...QUICK, ...options });
  members.push(member);
  return member;
}

afterEach(async () => {
  await Promise.all(members.splice(0).map((member) => member.stop()));
  await removeTempDirs();
});

describe("EmbeddedStateMachine", () => {
  it("replicates commands, and gives each proposer what applying its own gave", async () => {
    const sum = new Sum();
    const member = await start(await tempDir(), sum);
    expect((await member.waitReady(30_000)).id).toBe(member.nodeId);
    const totals = await Promise.all([1, 2, 3, 4].map((value) => member.propose(number(value))));
    expect(totals).toEqual([1, 3, 6, 10]);
    expect(await member.read(() => sum.total)).toBe(10);
    expect(await member.read(() => sum.total, { consistency: "lease" })).toBe(10);
    expect(member.status()).toMatchObject({ role: "leader", isLearner: false, name: "default" });
  });

  it("comes back from its log, and from its snapshots", async () => {
    const dir = await tempDir();
    const first = await start(dir, new Sum(), { snapshotCount: 10 });
    for (let i = 1; i <= 25; i++) await first.propose(number(i));
    await first.stop();
    const sum = new Sum();
    const second = await start(dir, sum, { snapshotCount: 10 });
    await second.waitReady(30_000);
    expect(await second.read(() => sum.total)).toBe(325);
    expect(sum.restored).toBe(1);
  });

  it("runs on three members, each with its own copy, and grows by another", async () => {
    const ports = await freePorts(4);
    const url = (i: number): string => `http://127.0.0.1:${ports[i]}`;
    const initialCluster: Record<string, string> = { n0: url(0), n1: url(1), n2: url(2) };
    const sums = [new Sum(), new Sum(), new Sum()];
    const three = await Promise.all(
      sums.map(async (sum, i) => start(await tempDir(), sum, { name: `n${i}`, initialCluster })),
    );
    await Promise.all(three.map((member) => member.waitReady(30_000)));
    await Promise.all(three.map((member, i) => member.propose(number(10 ** i))));
    for (const [i, member] of three.entries()) expect(await member.read(() => sums[i]!.total)).toBe(111);

    const { id } = await three[0]!.memberAdd({ peerUrls: [url(3)], isLearner: true });
    const sum = new Sum();
    const fourth = await start(await tempDir(), sum, {
      name: "n3",
      initialCluster: { ...initialCluster, n3: url(3) },
      initialClusterState: "existing",
    });
    expect(fourth.nodeId).toBe(id);
    await expect.poll(() => sum.total, { timeout: 30_000 }).toBe(111);
    await expect(fourth.propose(number(1))).rejects.toMatchObject({ code: "notSupportedForLearner" });
    await expect
      .poll(
        () =>
          three[0]!.memberPromote(id).then(
            () => "promoted",
            ({ code }: { code: string }) => code,
          ),
        { timeout: 30_000 },
      )
      .toBe("promoted");
    await expect.poll(() => fourth.status().isLearner, { timeout: 30_000 }).toBe(false);
    expect(await fourth.propose(number(1000))).toBe(1111);
    await three[0]!.memberRemove(id);
    expect((await three[0]!.memberList({ consistency: "linearizable" })).length).toBe(3);
  });

  it("refuses what it cannot do", async () => {
    const [port] = await freePorts(1);
    const listenClientUrls = `http://127.0.0.1:${port}`;
    await expect(start(await tempDir(), new Sum(), { listenClientUrls })).rejects.toMatchObject({
      code: "invalidConfig",
      message: expect.stringContaining("listenClientUrls") as string,
    });
    const sum = new Sum();
    const member = await start(await tempDir(), sum, { maxRequestBytes: 2000 });
    await member.waitReady(30_000);
    await expect(member.propose(new Uint8Array(2001))).rejects.toMatchObject({ code: "requestTooLarge" });
    await member.stop();
    await expect(member.propose(number(1))).rejects.toMatchObject({ code: "proposalDropped" });
    await expect(member.read(() => sum.total)).rejects.toMatchObject({ code: "stopped" });
    expect(sum.total).toBe(0);
  });
});
