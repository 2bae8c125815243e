import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/*
 * Below the range from which systems draw ports for outgoing connections (32768 and up on Linux, 49152 elsewhere):
 * one from there could be taken by any connection before the test listens on it.
 */
const LOWEST = 12_000;
const HIGHEST = 32_000;

/** Ports of loopback that nobody uses at the moment. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(LOWEST, HIGHEST);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
