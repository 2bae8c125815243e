import { EmbeddedEngine, type EmbeddedOptions } from "../../../src/runtimes/node/index.ts";
import { freePorts } from "./free-ports.ts";

/**
 * Members n1, n2, … of one group in this process, quick to elect. Ready when it resolves.
 *
 * @param optionsOf the storage of each, and what else it is to have.
 */
export async function startEmbeddedGroup(
  size: number,
  optionsOf: (i: number) => EmbeddedOptions,
): Promise<EmbeddedEngine[]> {
  const ports = await freePorts(size);
  const urls = ports.map((port, i) => [`n${i + 1}`, `http://127.0.0.1:${port}`] as const);
  const members = await Promise.all(
    urls.map(([name], i) =>
      EmbeddedEngine.start("./unused", {
        name,
        initialCluster: Object.fromEntries(urls),
        peerSecret: "0123456789abcdef",
        logger: { log: () => undefined },
        env: {},
        heartbeatInterval: 50,
        electionTimeout: 300,
        ...optionsOf(i),
      }),
    ),
  );
  await Promise.all(members.map((member) => member.waitReady(30_000)));
  return members;
}
