import { AuthWorkload } from "./auth.ts";
import { AppendWorkload, drawAppend } from "./append.ts";
import { BankWorkload, drawBank } from "./bank.ts";
import { drawLease, LeaseWorkload } from "./lease.ts";
import { drawLock, LockWorkload } from "./lock.ts";
import { drawOnce, OnceWorkload } from "./once.ts";
import { drawRegister, RegisterWorkload } from "./register.ts";
import { drawSet, SetWorkload } from "./set.ts";
import { SpaceWorkload } from "./space.ts";
import { drawWatch, WatchWorkload } from "./watch.ts";
import type { Clients } from "../clients.ts";
import type { CheckOptions, Workload, WorkloadKind } from "./workload.ts";

export type { CheckOptions, Workload } from "./workload.ts";

/** The kinds of clients of which any run may have some. */
export const WORKLOADS: Readonly<Record<string, WorkloadKind>> = {
  register: { draw: drawRegister, make: (clients, options) => new RegisterWorkload(clients, options) },
  append: { draw: drawAppend, make: (clients) => new AppendWorkload(clients) },
  bank: { draw: drawBank, make: (clients, options) => new BankWorkload(clients, options) },
  lease: {
    draw: drawLease,
    make: (clients, { leaseReads }) => new LeaseWorkload(clients, leaseReads),
  },
  lock: { draw: drawLock, make: (clients) => new LockWorkload(clients) },
  once: { draw: drawOnce, make: (clients) => new OnceWorkload(clients) },
  set: { draw: drawSet, make: (clients) => new SetWorkload(clients) },
  watch: { draw: drawWatch, make: (clients) => new WatchWorkload(clients) },
};

/**
 * Every kind of client. Who fills the store is only in runs that have a quota, and makes room before others end. Users
 * are only in runs with authentication.
 */
export function makeWorkloads(
  clients: Clients,
  options: CheckOptions,
  hasUsers: boolean,
): Map<string, Workload> {
  const workloads = new Map<string, Workload>([["space", new SpaceWorkload(clients)]]);
  if (hasUsers) workloads.set("auth", new AuthWorkload(clients));
  for (const [name, { make }] of Object.entries(WORKLOADS)) workloads.set(name, make(clients, options));
  return workloads;
}
