import { EngineError } from "../../core/errors/index.ts";
import type { Clock, KvEngine, Logger } from "../../core/node/index.ts";
import { type MembershipStep, nextMembershipStep } from "./membership-plan.ts";
import type { WorkersConfig } from "./workers-config.ts";

/** A learner that catches up, a change that is not applied yet: worth another look after this long... */
const RETRY_MS = 500;
/** ...so many times in a row. The next request begins anew. */
const MAX_RETRIES = 120;

/** While this node leads, brings the group's membership in line with the configuration, one change at a time. */
export class MembershipKeeper {
  readonly #config: WorkersConfig;
  readonly #engine: KvEngine;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #running = false;

  constructor(config: WorkersConfig, engine: KvEngine, clock: Clock, logger: Logger) {
    this.#config = config;
    this.#engine = engine;
    this.#clock = clock;
    this.#logger = logger;
    engine.onLeaderChange(() => this.check());
    this.check();
  }

  /** Looks whether there is anything to do, and begins with it. */
  check(): void {
    if (this.#running || this.#next() === null) return;
    this.#running = true;
    this.#run()
      .catch((error: unknown) => this.#logger.log("error", "the membership is left as it is", { error }))
      .finally(() => {
        this.#running = false;
      });
  }

  #next(): MembershipStep | null {
    const engine = this.#engine;
    if (!engine.isLeader || engine.isStopped) return null;
    const { nodes, removedNodes } = this.#config;
    return nextMembershipStep(nodes, removedNodes, engine.replica.members());
  }

  async #run(): Promise<void> {
    for (let failures = 0; failures < MAX_RETRIES;) {
      const step = this.#next();
      if (step === null) return;
      try {
        await this.#take(step);
        this.#logger.log("info", "the membership follows the configuration", {
          change: step.type,
          node: step.type === "remove" ? step.name : step.node.name,
        });
      } catch (error) {
        if (!(error instanceof EngineError)) throw error;
        if (failures === 0) {
          this.#logger.log("info", "a change of the membership has to wait", {
            change: step.type,
            reason: error.code,
          });
        }
        failures++;
        await new Promise<void>((resolve) => this.#clock.setTimer(RETRY_MS, resolve));
      }
    }
  }

  async #take(step: MembershipStep): Promise<void> {
    const { replica } = this.#engine;
    switch (step.type) {
      case "add":
        await replica.memberAdd({ peerUrls: [step.node.peerUrl], isLearner: true });
        return;
      case "update":
        return await replica.memberUpdate(step.id, [step.node.peerUrl]);
      case "promote":
        return await replica.memberPromote(step.id);
      case "remove":
        return await replica.memberRemove(step.id);
    }
  }
}
