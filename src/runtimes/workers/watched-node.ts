import type { Clock, KvEngine } from "../../core/node/index.ts";
import type { Watched } from "./watchdog.ts";

/** What the watchdog is to know of a node. */
export function watchedNode(engine: KvEngine, clock: Clock): Watched {
  return {
    isAwake: () => !engine.replica.isAsleep && !isAlone(engine),
    dueAtMs: () => {
      const deadlineMs = engine.nextLeaseDeadlineMs;
      return deadlineMs === null ? null : Math.ceil(clock.wallMs() + deadlineMs - clock.nowMs());
    },
  };
}

/** The only member there is leads whenever it runs, and owes nobody anything. */
function isAlone({ nodeId, replica }: KvEngine): boolean {
  const members = replica.members();
  return members.length === 1 && members[0]!.id === nodeId;
}

/** The alarm went off: a leader that sleeps looks after its leases, and everybody else after their leader. */
export async function answerAlarm(engine: KvEngine, patienceMs: number): Promise<void> {
  if (!engine.replica.isAsleep) return;
  if (engine.isLeader) engine.ringLeases();
  else await engine.replica.ready(patienceMs).catch(() => undefined);
}
