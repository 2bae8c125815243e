import { AppendWorkload, drawAppend } from "./append.ts";
import { BankWorkload, drawBank } from "./bank.ts";
import { drawLease, LeaseWorkload } from "./lease.ts";
import { drawLock, LockWorkload } from "./lock.ts";
import { drawOnce, OnceWorkload } from "./once.ts";
import { drawRegister, RegisterWorkload } from "./register.ts";
import { drawSet, SetWorkload } from "./set.ts";
import { drawWatch, WatchWorkload } from "./watch.ts";
import type { WorkloadKind } from "./workload.ts";

export type { CheckOptions, Workload } from "./workload.ts";

/** Every kind of client. */
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
