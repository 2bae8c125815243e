import { openObjectStorage, type ObjectStore } from "../../../../src/adapters/object-store/index.ts";
import { EngineError } from "../../../../src/core/errors/index.ts";
import { bundleStorage } from "../../../../src/core/node/index.ts";
import { Prng } from "../../../core/raft/harness/prng.ts";
import { command } from "../../storage-helpers.ts";
import { CALM, RandomFate } from "./fate.ts";
import { Violation, violated } from "./oracle.ts";
import { type Process, World } from "./world.ts";

export interface BundleResult {
  readonly seed: number;
  readonly problem: string | null;
  readonly story: readonly string[];
  readonly votes: number;
  readonly acknowledged: number;
}

interface Vote {
  readonly term: number;
  readonly process: Process;
  /** The last entry of the log that it was given with: the candidate's reaches as far. */
  readonly lastIndex: number;
}

interface Acknowledged {
  readonly term: number;
  readonly index: number;
}

const PROCESSES = 5;
const MAX_STEPS = 1500;

/**
 * What Raft relies on when a node's votes are in one store and its entries in another, and a process may be replaced in
 * each of them at another moment: who has voted in a term acknowledges nothing of an earlier one any more, except what
 * it had when it voted; and it votes once in each.
 */
class Promises {
  readonly votes: Vote[] = [];
  readonly acknowledged: Acknowledged[] = [];

  voted(vote: Vote): void {
    for (const { term, process } of this.votes) {
      if (term === vote.term && process !== vote.process) violated("one vote in a term", `term ${term}`);
    }
    for (const entry of this.acknowledged) checkPromise(vote, entry);
    this.votes.push(vote);
  }

  entry(entry: Acknowledged): void {
    for (const vote of this.votes) checkPromise(vote, entry);
    this.acknowledged.push(entry);
  }
}

function checkPromise(vote: Vote, { term, index }: Acknowledged): void {
  if (term >= vote.term || index <= vote.lastIndex) return;
  violated(
    "who has voted in a term acknowledges nothing of an earlier one",
    `entry ${index} of term ${term}, and a vote of process ${vote.process.id} in ${vote.term} that knew ${vote.lastIndex}`,
  );
}

/** One schedule of processes that take a node over from each other, with its log in one store and its votes in another. */
export async function runBundle(seed: number, tell = false): Promise<BundleResult> {
  const prng = new Prng(seed);
  const some = (most: number): number => (prng.chance(0.5) ? prng.next() * most : 0);
  const hazards = {
    ...CALM,
    replyLost: some(0.1),
    lateOrNever: some(0.1),
    stall: some(0.1),
    crash: some(0.02),
  };
  const world = new World(
    new RandomFate(prng.fork(), hazards),
    { maxObjectBytes: 1 << 20, pageSize: 1000 },
    tell,
  );
  const promises = new Promises();
  const failures: Error[] = [];
  let started = 0;
  let problem: string | null = null;
  try {
    for (let step = 0; step < MAX_STEPS; step++) {
      if (started < PROCESSES && prng.chance(started === 0 ? 1 : 0.05)) {
        started++;
        const process = world.spawn();
        live(world, process, promises, prng.fork()).catch((error: unknown) => {
          world.tell(() => `${process.id}: ends: ${String(error)}`);
          if (process.alive && !isExpected(error)) failures.push(error as Error);
        });
      }
      if (!(await world.advance()) && started === PROCESSES) break;
      for (const failure of failures) throw failure;
    }
  } catch (error) {
    problem = String(error);
  }
  const { votes, acknowledged } = promises;
  return {
    seed,
    problem,
    story: world.story ?? [],
    votes: votes.length,
    acknowledged: acknowledged.length,
  };
}

/** In the order in which the driver does it: what is in the metadata, then the log, which takes both over. */
async function live(world: World, process: Process, promises: Promises, prng: Prng): Promise<void> {
  const { clock, random, store } = world.surroundings(process);
  const [main, meta] = await Promise.all(
    ["log", "meta"].map((name) => openObjectStorage({ clock, random, store: within(store, name) })),
  );
  const storage = await bundleStorage(main!, meta!);
  const stored = (await storage.meta.load()).hardState;
  let { lastIndex } = await storage.log.open();
  let term = stored?.term ?? 1;
  let ackedIndex = lastIndex;
  for (let turn = 0; turn < 6; turn++) {
    if (prng.chance(0.5)) {
      await storage.log.append([command(++lastIndex, term)]);
      ackedIndex = lastIndex;
      world.tell(() => `${process.id}: entry ${ackedIndex} of term ${term} is acknowledged`);
      promises.entry({ term, index: ackedIndex });
    } else {
      term++;
      await storage.meta.saveHardState({ term, vote: BigInt(process.id), commit: 0 });
      world.tell(() => `${process.id}: has voted in term ${term}`);
      promises.voted({ term, process, lastIndex });
    }
  }
}

/** A part of the world's bucket as a store of its own. */
function within(store: ObjectStore, part: string): ObjectStore {
  const prefix = `${part}/`;
  return {
    maxObjectBytes: store.maxObjectBytes,
    location: part,
    get: (name) => store.get(prefix + name),
    putIfAbsent: (name, body) => store.putIfAbsent(prefix + name, body),
    putIfMatch: (name, body, version) => store.putIfMatch(prefix + name, body, version),
    delete: (names) => store.delete(names.map((name) => prefix + name)),
    list: async (wanted, { startAfter, ...options } = {}) => {
      const after = startAfter === undefined ? {} : { startAfter: prefix + startAfter };
      const page = await store.list(prefix + wanted, { ...options, ...after });
      const objects = page.objects.map((object) => ({ ...object, name: object.name.slice(prefix.length) }));
      return { ...page, objects };
    },
    close: async () => {},
  };
}

/** Others are busy with the same node, or the stores were silent for long; everything else is a bug. */
function isExpected(error: unknown): boolean {
  if (error instanceof Violation || !(error instanceof EngineError)) return false;
  return ["fenced", "storageLocked", "storageUnavailable", "storageThrottled"].includes(error.code);
}
