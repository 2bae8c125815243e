import { EngineError } from "../../../core/errors/index.ts";
import type { Consistency, ReadOptions } from "../../../core/node/index.ts";
import { percentDecode, utf8 } from "./key-text.ts";

/**
 * The query string of a request to the sugar routes. A parameter that the route does not know is refused: on
 * `DELETE` a mistyped `prefix` must not become something else.
 */
export class Query {
  readonly #parameters = new Map<string, Uint8Array>();

  constructor(url: string, known: readonly string[]) {
    const start = url.indexOf("?");
    if (start === -1) return;
    const fragment = url.indexOf("#", start);
    const text = url.slice(start + 1, fragment === -1 ? undefined : fragment);
    for (const pair of text.split("&")) {
      if (pair !== "") this.#add(pair, known);
    }
  }

  /** A parameter that may be any bytes. */
  bytes(name: string): Uint8Array | undefined {
    return this.#parameters.get(name);
  }

  text(name: string): string | undefined {
    const bytes = this.bytes(name);
    if (bytes === undefined) return undefined;
    return utf8(bytes) ?? refuse(name, "not UTF-8");
  }

  /** A parameter that is switched on by `1` or `true`, or by its mere name. */
  flag(name: string): boolean {
    const text = this.text(name);
    if (text === undefined || text === "0" || text === "false") return false;
    if (text === "" || text === "1" || text === "true") return true;
    return refuse(name, "not 1 or 0");
  }

  integer(name: string, min: number, max: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) return refuse(name, `not a number from ${min} to ${max}`);
    return value;
  }

  /** An id as etcd has them. */
  int64(name: string): bigint | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^-?[0-9]{1,19}$/.test(text) ? BigInt(text) : 2n ** 64n;
    return BigInt.asIntN(64, value) === value ? value : refuse(name, "not a 64-bit number");
  }

  /** A duration in seconds, with up to three decimals: at least a millisecond. */
  milliseconds(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^[0-9]{1,10}(\.[0-9]{1,3})?$/.test(text) ? Math.round(Number(text) * 1000) : 0;
    return value > 0 ? value : refuse(name, "not a number of seconds greater than 0");
  }

  /** A duration as `30s` or `500ms`, in milliseconds. */
  duration(name: string, maxMs: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const [, digits, unit] = /^([0-9]{1,9})(ms|s)$/.exec(text) ?? [];
    const value = Number(digits) * (unit === "s" ? 1000 : 1);
    return value > 0 && value <= maxMs
      ? value
      : refuse(name, `not a time like 30s or 500ms, up to ${maxMs}ms`);
  }

  consistency(): Consistency | undefined {
    const text = this.text("consistency");
    if (text === undefined || text === "linearizable" || text === "lease" || text === "eventual") return text;
    return refuse("consistency", "not linearizable, lease or eventual");
  }

  /** `consistency` and `min_revision`. */
  readOptions(): ReadOptions {
    const consistency = this.consistency();
    const minRevision = this.integer("min_revision", 0, Number.MAX_SAFE_INTEGER) ?? 0;
    return {
      ...(consistency === undefined ? {} : { consistency }),
      ...(minRevision === 0 ? {} : { minRevision }),
    };
  }

  #add(pair: string, known: readonly string[]): void {
    const equals = pair.indexOf("=");
    const name = equals === -1 ? pair : pair.slice(0, equals);
    const value = percentDecode(equals === -1 ? "" : pair.slice(equals + 1), true);
    if (!known.includes(name)) {
      const shown = JSON.stringify(name.slice(0, 40));
      throw new EngineError("invalidArgument", {
        detail: `?${shown}: one of ${known.join(", ")} was expected`,
      });
    }
    if (value === null) return refuse(name, "a % is not followed by two hex digits");
    if (this.#parameters.has(name)) return refuse(name, "given twice");
    this.#parameters.set(name, value);
  }
}

function refuse(name: string, problem: string): never {
  throw new EngineError("invalidArgument", { detail: `?${name}: ${problem}` });
}
