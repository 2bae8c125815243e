import { dEngineOk } from "./command.ts";
import type { Flags } from "./server.ts";

/**
 * Adds a learner by the command line.
 *
 * @param whereabouts the command's flags that say how the group is reached.
 * @returns its id, as commands take it, and the settings that `d-engine member add` printed for it, as flags.
 */
export async function addMember(
  name: string,
  peerUrl: string,
  whereabouts: readonly string[],
): Promise<{ readonly id: string; readonly settings: Flags }> {
  const printed = await dEngineOk("member", "add", name, `--peer-urls=${peerUrl}`, ...whereabouts);
  const id = /^Member ([0-9a-f]+) added/.exec(printed)?.[1];
  const settings = Object.fromEntries(
    [...printed.matchAll(/^ETCD_([A-Z_]+)="(.*)"$/gm)].map(([, key, value]) => [
      key!.toLowerCase().replaceAll("_", "-"),
      value!,
    ]),
  );
  if (id === undefined || settings["initial-cluster-state"] !== "existing")
    throw new Error(`"member add" printed: ${printed}`);
  return { id, settings };
}
