import { checkLinearizability } from "../../sim/checkers/linearizability.ts";
import { registerModel } from "../../sim/checkers/models.ts";
import { call, decode, encode, type Endpoint, prefixEnd } from "../support/api.ts";
import type { Run } from "../support/program.ts";
import { until } from "../support/waiting.ts";
import {
  ACCOUNTS,
  type Client,
  type Record,
  type RegisterOperation,
  TOTAL,
  UNIQUE_PREFIX,
} from "./workload.ts";

/** Opens the accounts whose sum is never to change. */
export async function openAccounts(server: Endpoint): Promise<void> {
  for (const account of ACCOUNTS) await mustPut(server, account, String(TOTAL / ACCOUNTS.length));
}

async function mustPut(server: Endpoint, key: string, value: string): Promise<void> {
  let problem = "";
  const put = async (): Promise<boolean> => {
    const outcome = await call(server, "kv/put", { key: encode(key), value: encode(value) });
    if (outcome.status !== "ok") problem = outcome.problem;
    return outcome.status === "ok";
  };
  await until(20, "a first write", put).catch((error: unknown) => {
    throw new Error(`${server.name} refuses the first writes: ${problem}`, { cause: error });
  });
}

/** Every member shows every write that was acknowledged and none that was refused. */
export async function checkUniques(
  run: Run,
  { uniques }: Record,
  servers: readonly Endpoint[],
): Promise<void> {
  const range = { key: encode(UNIQUE_PREFIX), range_end: encode(prefixEnd(UNIQUE_PREFIX)) };
  for (const server of servers) {
    const { name } = server;
    const reply = await until(20, `a read at ${name}`, async () => {
      const outcome = await call(server, "kv/range", range);
      return outcome.status === "ok" ? outcome.reply : null;
    });
    const present = new Map((reply.kvs ?? []).map(({ key, value }) => [decode(key), decode(value)]));
    const keysThatEnded = (status: string): string[] =>
      [...uniques].filter(([, ended]) => ended === status).map(([key]) => key);
    const acknowledged = keysThatEnded("ok");
    const lost = acknowledged.filter((key) => present.get(key) !== key);
    run.require(
      lost.length === 0 && acknowledged.length > 0,
      `${name} has all ${acknowledged.length} acknowledged writes ${lost.slice(0, 5).join(" ")}`,
    );
    const refused = keysThatEnded("failed");
    const undead = refused.filter((key) => present.has(key));
    run.require(
      undead.length === 0,
      `and none of the ${refused.length} refused ones ${undead.slice(0, 5).join(" ")}`,
    );
    const unknown = keysThatEnded("unknown");
    const happened = unknown.filter((key) => present.has(key)).length;
    run.observe(`  of ${unknown.length} writes without a certain end ${happened} happened`);
  }
}

/** What was read, and what every register holds in the end at every member, fits one order of the writes. */
export async function checkRegisters(
  run: Run,
  record: Record,
  reader: Client,
  servers: readonly Endpoint[],
): Promise<void> {
  const keys = [...new Set(record.registers.map(({ input }) => input.key))];
  for (const server of servers) for (const key of keys) await reader.read(key, "linearizable", server);
  const history: readonly RegisterOperation[] = record.registers;
  const result = checkLinearizability(registerModel(), history, { maxSteps: 20_000_000 });
  const explanation = "explanation" in result ? `\n${result.explanation}` : "";
  run.require(
    result.verdict === "ok",
    `${history.length} reads, writes and swaps of ${keys.length} registers are linearizable (${result.steps} steps)${explanation}`,
  );
}

/** Whoever read all accounts at one revision saw the same sum. */
export function checkSums(run: Run, { brokenSums, sums, transfers }: Record): void {
  run.require(
    brokenSums.length === 0 && transfers > 0,
    `${transfers} transfers; ${sums} times the accounts held ${TOTAL} together ${brokenSums[0] ?? ""}`,
  );
}
