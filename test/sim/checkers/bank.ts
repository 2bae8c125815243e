import { assertTimes } from "./history.ts";
import type { Call, Verdict } from "./history.ts";

/** A transaction that read every account. Transfers need no record: they may not change the total. */
export type BankRead = Call & { readonly returnAt: number; readonly balances: ReadonlyMap<string, number> };

export interface BankOptions {
  readonly accounts: readonly string[];
  /** What all accounts hold together, at any time. */
  readonly total: number;
  /** Whether transfers may overdraw an account. Default false. */
  readonly mayOverdraw?: boolean;
}

export interface BankResult {
  readonly verdict: Verdict;
  /** What is wrong, one line for each bad read. */
  readonly problems: readonly string[];
}

/** Whether money was neither made nor lost, whoever looked. Without a single read the verdict is `unknown`. */
export function checkBank(
  reads: readonly BankRead[],
  { accounts, total, mayOverdraw = false }: BankOptions,
): BankResult {
  const problems = reads.flatMap((read) => {
    assertTimes({ ...read, status: "ok" });
    const { client, callAt, returnAt, balances } = read;
    const sum = [...balances.values()].reduce((all, balance) => all + balance, 0);
    const missing = accounts.filter((account) => !balances.has(account));
    const strange = [...balances.keys()].filter((account) => !accounts.includes(account));
    const overdrawn = [...balances].filter(([, balance]) => balance < 0 && !mayOverdraw);
    const wrong = [
      // Written so that NaN, too, is a wrong total.
      ...(sum === total ? [] : [`the total is ${sum}, not ${total}`]),
      ...(missing.length === 0 ? [] : [`no account ${missing.join(", ")}`]),
      ...(strange.length === 0 ? [] : [`an account ${strange.join(", ")} that is none`]),
      ...overdrawn.map(([account, balance]) => `${account} holds ${balance}`),
    ];
    if (wrong.length === 0) return [];
    const seen = [...balances].map(([account, balance]) => `${account}: ${balance}`).join(", ");
    return [`client ${client} [${callAt}, ${returnAt}] read ${seen}: ${wrong.join("; ")}`];
  });
  return { verdict: problems.length > 0 ? "violation" : reads.length === 0 ? "unknown" : "ok", problems };
}
