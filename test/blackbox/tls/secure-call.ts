import { request } from "node:https";
import { text } from "node:stream/consumers";
import type { Certificate } from "../../runtimes/node/certificates.ts";
import type { Outcome, Reply } from "../support/api.ts";

/** Who asks, and whom it trusts. */
export interface Identity extends Certificate {
  readonly ca: string;
}

const UNAVAILABLE = 14;
const GIVE_UP_MS = 4000;

/** As `call` in support, over TLS: each on a connection of its own, hence with a handshake of its own. */
export async function secureCall(url: string, path: string, body: object, as: Identity): Promise<Outcome> {
  let isSecure = false;
  try {
    const { status, said } = await new Promise<{ status: number; said: string }>((resolve, reject) => {
      const sent = request(`${url}/v3/${path}`, {
        method: "POST",
        agent: false,
        ca: as.ca,
        cert: as.cert,
        key: as.key,
        headers: { "content-type": "application/json" },
        signal: AbortSignal.timeout(GIVE_UP_MS),
      });
      sent.on("socket", (socket) => socket.once("secureConnect", () => (isSecure = true)));
      sent.on("error", reject);
      sent.on("response", (response) => {
        const status = response.statusCode ?? 0;
        text(response).then((said) => resolve({ status, said }), reject);
      });
      sent.end(JSON.stringify(body));
    });
    const reply = JSON.parse(said) as Reply & { code?: number; message?: string };
    if (status === 200) return { status: "ok", reply };
    return { status: reply.code === UNAVAILABLE ? "unknown" : "failed", problem: reply.message ?? said };
  } catch (error) {
    // Before that nothing is sent.
    return { status: isSecure ? "unknown" : "failed", problem: String((error as Error).message) };
  }
}
