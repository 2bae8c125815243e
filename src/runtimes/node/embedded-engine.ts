import { TRUSTED } from "../../core/kv/index.ts";
import { actAs, Client, type Engine, type KvEngine } from "../../core/node/index.ts";
import { EmbeddedMember } from "./embedded-member.ts";
import { type EmbeddedOptions, embeddedHostOptions } from "./embedded-options.ts";
import { startKvHost } from "./kv-host.ts";
import { nodeClock } from "./node-clock.ts";
import type { NodeHost } from "./node-host.ts";
import { nodeRandom } from "./node-random.ts";

/**
 * A member of a cluster inside this process.
 *
 * @example
 * const engine = await EmbeddedEngine.start("./data");
 * await engine.waitReady(5000);
 * const client = engine.client();
 * await client.put("greeting", "hello");
 * await client.getText("greeting"); // "hello"
 * await engine.stop();
 *
 * @example Three members: the same code, told where the others are (here, or in `ETCD_...` variables).
 * const engine = await EmbeddedEngine.start("./data", {
 *   name: "n1",
 *   initialCluster: { n1: "http://10.0.0.1:2380", n2: "http://10.0.0.2:2380", n3: "http://10.0.0.3:2380" },
 *   peerSecretFile: "./peer-secret",
 * });
 */
export class EmbeddedEngine extends EmbeddedMember {
  readonly #engine: Engine;
  readonly #client: Client;

  private constructor(host: NodeHost<KvEngine>) {
    super(host);
    // This process holds the stores: asking it for a password would keep nobody out.
    this.#engine = actAs(host.engine, TRUSTED);
    this.#client = new Client(this.#engine, {
      clock: nodeClock,
      random: nodeRandom,
      maxTxnOps: host.config.maxTxnOps,
    });
  }

  /**
   * Starts a member with its data in `dataDir`, made if it is missing. With nothing else it is alone and elects
   * itself.
   *
   * @throws EngineError `invalidConfig`, `storageLocked`, `storageForeign`, `storageCorrupt`: nothing was changed.
   */
  static async start(dataDir: string, options: EmbeddedOptions = {}): Promise<EmbeddedEngine> {
    return new EmbeddedEngine(await startKvHost(embeddedHostOptions(dataDir, options)));
  }

  /** The everyday methods. Cheap, and always the same. */
  client(): Client {
    return this.#client;
  }

  /** Everything that etcd's API can do, in its terms. */
  get engine(): Engine {
    return this.#engine;
  }
}
