import type { Caller, KvCommand, KvResult } from "../../../src/core/kv/index.ts";
import type { SimNode } from "../../core/node/world/sim-node.ts";
import type { Prng } from "../../core/raft/harness/prng.ts";
import type { Clients } from "../clients.ts";
import type { Problem } from "../problem.ts";
import type { OpSpec } from "../scenario.ts";

/** What the checks of a run take for granted. */
export interface CheckOptions {
  /** Lease reads must be as fresh as linearizable ones. Off when clocks leave the drift bound. */
  readonly leaseReads: boolean;
  /** Eventual reads are held to what they do not promise: the checkers must object. */
  readonly eventualAsLinearizable: boolean;
}

/**
 * One kind of client: which requests it makes, and how to tell from the answers that something is wrong. Others join
 * by being added to the list in `workloads/index.ts`.
 */
export interface Workload {
  readonly name: string;
  /** What must be there before anything else, written while all is well. */
  prelude?(node: SimNode): Promise<void>;
  /** Makes the request; settles when it has ended. */
  run(node: SimNode, id: number, op: OpSpec): Promise<void>;
  /** A command took effect, whatever its client was told; each is shown once, and on whose behalf it was. */
  applied?(command: KvCommand, result: KvResult, caller: Caller): void;
  /** The last requests, in peace, that pin down what everything before left open. */
  finish(node: SimNode): Promise<void>;
  check(): Problem[];
}

export interface WorkloadKind {
  /** A request, as plain data. `epoch` grows along the run, so that no object grows for ever. */
  readonly draw: (random: Prng, epoch: number) => OpSpec;
  readonly make: (clients: Clients, options: CheckOptions) => Workload;
}
