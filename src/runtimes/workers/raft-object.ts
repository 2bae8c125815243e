import {
  type DurableObjectStorageEngine,
  openDurableObjectStorage,
} from "../../adapters/durable-object/index.ts";
import { EngineError } from "../../core/errors/index.ts";
import { readBytes } from "../http/body.ts";
import { replyToError } from "../http/errors.ts";
import { ANSWER_HEADER, MAX_BATCH_BYTES, PEER_PATH, type PeerReply } from "../http/peer/index.ts";
import { ADDRESS_HEADER, type ObjectAddress, objectName, parseObjectName } from "./object-address.ts";
import { answerAsNewcomer } from "./newcomer.ts";
import { ObjectHost } from "./object-host.ts";
import { ObjectRecord } from "./object-record.ts";
import type { HibernatingSocket, ObjectState, WorkersEnv } from "./platform.ts";
import { missingSecrets, type Secrets, secretsOf } from "./secrets.ts";
import { raftNamespace, type WorkersConfig, workersConfig } from "./workers-config.ts";
import { workersLogger } from "./workers-logger.ts";

/** On replies of objects that have done nothing about a request: another one may be asked. */
export const NOT_SERVED_HEADER = "X-D-Engine-Not-Served";

/** RFC 6455: the server cannot go on. */
const GOING_AWAY = 1001;

/**
 * One node of one group: the Durable Object class to bind as `RAFT`, listed under `new_sqlite_classes`. Requests come
 * to it through `routeRequest`, and from the other nodes.
 */
export class RaftObject {
  readonly #state: ObjectState;
  readonly #env: WorkersEnv;
  readonly #record: ObjectRecord;
  #address: ObjectAddress | null;
  #storage: DurableObjectStorageEngine | null = null;
  #host: Promise<ObjectHost> | null = null;

  constructor(state: ObjectState, env: WorkersEnv) {
    this.#state = state;
    this.#env = env;
    this.#record = new ObjectRecord(state.storage);
    this.#address = this.#record.address;
  }

  async fetch(request: Request): Promise<Response> {
    let host: ObjectHost;
    try {
      const config = workersConfig(this.#env);
      const address = this.#addressed(request.headers.get(ADDRESS_HEADER));
      const secrets = secretsOf(config);
      if (secrets === null) return missingSecrets(config);
      if (new URL(request.url).pathname === PEER_PATH) {
        const { status, body } = await this.#peer(request, config, secrets, address);
        // Peers' bytes are never shared memory, which is all that the types are afraid of.
        return new Response(body as Uint8Array<ArrayBuffer> | null, { status });
      }
      host = await this.#running(config, secrets, address);
      host.requireVoter();
    } catch (error) {
      const response = replyToError(error, workersLogger("info", {}));
      response.headers.set(NOT_SERVED_HEADER, "1");
      return response;
    }
    // From here on something may have happened, and nobody else is to be asked.
    return await host.fetch(request);
  }

  /** The watchdog. */
  async alarm(): Promise<void> {
    const config = workersConfig(this.#env);
    const secrets = secretsOf(config);
    // Nobody has asked for this object yet, or its secrets were taken away: there is nothing to keep awake.
    if (this.#address === null || secrets === null) return;
    try {
      const host = await this.#running(config, secrets, this.#address);
      await host.alarm();
    } catch (error) {
      // What the configuration forbids no repetition will allow; anything else the platform tries again.
      if (!(error instanceof EngineError && error.code === "invalidConfig")) throw error;
    }
  }

  /** A text has come on a WebSocket; the object may have been away since the last one. */
  async webSocketMessage(socket: HibernatingSocket, message: string | ArrayBuffer): Promise<void> {
    try {
      const config = workersConfig(this.#env);
      const secrets = secretsOf(config);
      if (this.#address === null || secrets === null) return socket.close(GOING_AWAY);
      const host = await this.#running(config, secrets, this.#address);
      await host.message(socket, message);
    } catch (error) {
      workersLogger("info", {}).log("warn", "a connection is closed", { error: String(error) });
      socket.close(GOING_AWAY);
    }
  }

  /** A WebSocket is over. Whoever is not here need not come for it: what goes on with the others leaves it out. */
  async webSocketClose(socket: HibernatingSocket, code: number): Promise<void> {
    const host = await this.#host;
    host?.sockets.closed(socket);
    try {
      // Older compatibility dates leave it to the object to say goodbye as well; 1005 and 1006 cannot be said.
      socket.close(code === 1005 || code === 1006 ? 1000 : code);
    } catch {
      // It was said already.
    }
  }

  async webSocketError(socket: HibernatingSocket): Promise<void> {
    const host = await this.#host;
    host?.sockets.closed(socket);
  }

  /**
   * Who this object is, which it cannot see for itself: whoever sends a request says it, and its id proves it.
   *
   * @throws EngineError `permissionDenied`.
   */
  #addressed(name: string | null): ObjectAddress {
    if (this.#address !== null && name === objectName(this.#address)) return this.#address;
    const { id } = this.#state;
    if (name === null || !raftNamespace(this.#env).idFromName(name).equals(id)) {
      throw new EngineError("permissionDenied", { detail: "the request is meant for another object" });
    }
    this.#address = parseObjectName(name);
    this.#record.saveAddress(this.#address);
    return this.#address;
  }

  async #peer(
    request: Request,
    config: WorkersConfig,
    secrets: Secrets,
    address: ObjectAddress,
  ): Promise<PeerReply> {
    const body = await readBytes(request, MAX_BATCH_BYTES);
    const reply = await answerAsNewcomer(this.#opened(), secrets.peerSecret, address.group, body);
    if (reply !== null) return reply;
    const host = await this.#running(config, secrets, address);
    return await host.receive(body, request.headers.has(ANSWER_HEADER));
  }

  #opened(): DurableObjectStorageEngine {
    this.#storage ??= openDurableObjectStorage(this.#state.storage);
    return this.#storage;
  }

  #running(
    config: WorkersConfig,
    { peerSecret, clientToken }: Secrets,
    address: ObjectAddress,
  ): Promise<ObjectHost> {
    this.#host ??= ObjectHost.start({
      state: this.#state,
      storage: this.#opened(),
      namespace: raftNamespace(this.#env),
      config,
      peerSecret,
      clientToken,
      address,
      record: this.#record,
      logger: workersLogger(config.logLevel, { group: address.group, node: address.node }),
    }).catch((error: unknown) => {
      // What stands in its way may be gone by the next request.
      this.#host = null;
      throw error;
    });
    return this.#host;
  }
}
