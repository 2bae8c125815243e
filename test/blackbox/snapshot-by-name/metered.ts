import { createServer, connect, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import type { Run } from "../support/program.ts";

/** A port of its own that leads to another, and counts the bytes that go there. */
export interface Metered {
  readonly url: string;
  /** Bytes sent to the port behind it so far. */
  readonly sent: () => number;
}

export async function metered(run: Run, port: number): Promise<Metered> {
  let sent = 0;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.add(socket);
      // Whatever became of one of them, the other's end is the one that is looked at.
      socket.on("error", () => {});
      socket.on("close", () => {
        near.destroy();
        far.destroy();
        sockets.delete(socket);
      });
    }
    near.on("data", (chunk: Buffer) => (sent += chunk.length));
    near.pipe(far);
    far.pipe(near);
  });
  server.listen(0, "127.0.0.1");
  await new Promise<void>((resolve) => server.once("listening", resolve));
  run.cleanUp(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sent: () => sent };
}
