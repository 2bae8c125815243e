import { createServer } from "node:net";

/** Below the range from which systems take ports for outgoing connections. */
const FIRST = 21_000;
const LAST = 30_000;

/**
 * Free ports that stay free while a server is down: an ephemeral one could meanwhile become the local end of some
 * client's connection, and the server could not come back.
 */
export async function stablePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  let candidate = FIRST + Math.floor(Math.random() * (LAST - FIRST));
  for (let tries = 0; ports.length < count; tries++) {
    if (tries > LAST - FIRST) throw new Error(`no ${count} free ports from ${FIRST} to ${LAST}`);
    candidate = candidate >= LAST ? FIRST : candidate + 1;
    if (await isFree(candidate)) ports.push(candidate);
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
