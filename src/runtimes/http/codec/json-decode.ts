import type { Base64 } from "../base64.ts";
import { FieldProblem } from "./field-problem.ts";
import {
  camelName,
  type Enumeration,
  type FieldInfo,
  fieldName,
  type Kind,
  type Message,
  type MessageInfo,
  type RecordInfo,
  type UnionInfo,
} from "./schema.ts";

/** Turns parsed JSON into a message, or throws a {@link FieldProblem}. */
export type JsonDecoder<T> = (json: unknown) => T;

type Decode = (json: unknown, depth: number) => unknown;

interface CompiledField {
  readonly property: string;
  readonly decode: Decode;
}

/** protobuf's own limit on messages within messages; keeps hostile input from exhausting the stack. */
const MAX_DEPTH = 100;

const INT64 = { min: -(1n << 63n), max: (1n << 63n) - 1n };
const UINT64 = { min: 0n, max: (1n << 64n) - 1n };

/**
 * Compiles descriptions into proto3 JSON decoders: both spellings of a name, unknown fields ignored, null the same
 * as absent, integers as strings or numbers, enums as names or numbers. Each message is compiled once.
 */
export class JsonDecoders {
  readonly #base64: Base64;
  readonly #compiled = new Map<MessageInfo, Decode>();

  constructor(base64: Base64) {
    this.#base64 = base64;
  }

  of<T>(message: Message<T>): JsonDecoder<T> {
    const decode = this.#message(message);
    return (json) => decode(json, 0) as T;
  }

  #message(message: MessageInfo): Decode {
    const known = this.#compiled.get(message);
    if (known !== undefined) return known;
    return message.shape === "record" ? this.#record(message) : this.#union(message);
  }

  #record(message: RecordInfo): Decode {
    const fields = new Map<string, CompiledField>();
    const decode: Decode = (json, depth) => {
      const value = message.create() as Record<string, unknown>;
      if (json !== null) {
        const object = asObject(json, depth);
        for (const name in object) {
          const given = object[name];
          const field = fields.get(name);
          if (field === undefined || given === null) continue;
          try {
            value[field.property] = field.decode(given, depth + 1);
          } catch (error) {
            throw error instanceof FieldProblem ? error.inside(name) : error;
          }
        }
      }
      return message.finish === null ? value : message.finish(value);
    };
    // Known before its fields are compiled, since one of them may be of this very type.
    this.#compiled.set(message, decode);
    for (const [property, field] of message.fields) {
      const compiled = { property, decode: this.#field(field) };
      const name = fieldName(property, field);
      fields.set(name, compiled);
      fields.set(camelName(name), compiled);
    }
    return decode;
  }

  #union(message: UnionInfo): Decode {
    const cases = new Map<string, { readonly type: string; readonly decode: Decode }>();
    const names = [...message.cases.values()].map(({ name }) => name).join(", ");
    const decode: Decode = (json, depth) => {
      let value: Record<string, unknown> | null = null;
      const object = asObject(json, depth);
      for (const name in object) {
        const given = object[name];
        const chosen = cases.get(name);
        if (chosen === undefined || given === null) continue;
        if (value !== null) throw new FieldProblem(`more than one of ${names}`);
        try {
          value = { type: chosen.type, [message.payload]: chosen.decode(given, depth + 1) };
        } catch (error) {
          throw error instanceof FieldProblem ? error.inside(name) : error;
        }
      }
      if (value === null) throw new FieldProblem(`none of ${names}`);
      return value;
    };
    this.#compiled.set(message, decode);
    for (const [type, { name, message: content }] of message.cases) {
      const compiled = { type, decode: this.#message(content()) };
      cases.set(name, compiled);
      cases.set(camelName(name), compiled);
    }
    return decode;
  }

  #field(field: FieldInfo): Decode {
    const one = this.#kind(field.kind);
    if (!field.repeated) return one;
    return (json, depth) => {
      if (!Array.isArray(json)) throw new FieldProblem("not a list");
      return json.map((item: unknown, index) => {
        try {
          return one(item, depth);
        } catch (error) {
          throw error instanceof FieldProblem ? error.inside(`[${index}]`) : error;
        }
      });
    };
  }

  #kind(kind: Kind): Decode {
    switch (kind.type) {
      case "bytes":
        return decodeBytes(this.#base64);
      case "string":
        return decodeString;
      case "bool":
        return decodeBool;
      case "int64":
        return kind.as === "number" ? decodeInt64 : decodeBigInt64;
      case "uint64":
        return kind.as === "number" ? decodeUint64 : decodeBigUint64;
      case "enum":
        return decodeEnum(kind.enumeration);
      case "message":
        return this.#message(kind.message());
    }
  }
}

function asObject(json: unknown, depth: number): Readonly<Record<string, unknown>> {
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new FieldProblem("not an object");
  if (depth > MAX_DEPTH) throw new FieldProblem(`nested more than ${MAX_DEPTH} deep`);
  return json as Record<string, unknown>;
}

function decodeBytes(base64: Base64): Decode {
  return (json) => {
    if (typeof json !== "string") throw new FieldProblem("not a string of base64");
    const bytes = base64.decode(json);
    if (bytes === null) throw new FieldProblem("not base64");
    return bytes;
  };
}

function decodeString(json: unknown): string {
  if (typeof json !== "string") throw new FieldProblem("not a string");
  return json;
}

function decodeBool(json: unknown): boolean {
  if (typeof json !== "boolean") throw new FieldProblem("not true or false");
  return json;
}

function decodeInt64(json: unknown): number {
  if (typeof json === "number" && Number.isSafeInteger(json)) return json;
  return clampToSafe(decodeBigInt64(json));
}

function decodeUint64(json: unknown): number {
  if (typeof json === "number" && Number.isSafeInteger(json) && json >= 0) return json;
  return clampToSafe(decodeBigUint64(json));
}

function decodeBigInt64(json: unknown): bigint {
  return within(decodeInteger(json), INT64);
}

function decodeBigUint64(json: unknown): bigint {
  return within(decodeInteger(json), UINT64);
}

function decodeInteger(json: unknown): bigint {
  if (typeof json === "string") {
    // 21 characters hold every 64-bit integer, and bound what a hostile one costs.
    if (!/^-?[0-9]{1,20}$/.test(json)) throw new FieldProblem("not a 64-bit integer");
    return BigInt(json);
  }
  if (typeof json !== "number" || !Number.isInteger(json)) throw new FieldProblem("not a 64-bit integer");
  if (!Number.isSafeInteger(json)) {
    throw new FieldProblem("too large for a JSON number: write it as a string", { rounded: true });
  }
  return BigInt(json);
}

function within(value: bigint, { min, max }: { readonly min: bigint; readonly max: bigint }): bigint {
  if (value < min || value > max) throw new FieldProblem("not a 64-bit integer");
  return value;
}

/** No revision, version or count ever gets this far, so every comparison with one still comes out right. */
function clampToSafe(value: bigint): number {
  if (value > Number.MAX_SAFE_INTEGER) return Number.MAX_SAFE_INTEGER;
  if (value < Number.MIN_SAFE_INTEGER) return Number.MIN_SAFE_INTEGER;
  return Number(value);
}

function decodeEnum({ names, values, unknownNumber }: Enumeration): Decode {
  const byName = new Map(names.map((name, number) => [name, values[number]]));
  return (json) => {
    const value =
      typeof json === "number" ? values[json] : typeof json === "string" ? byName.get(json) : undefined;
    if (value !== undefined) return value;
    throw new FieldProblem(
      `not one of ${names.join(", ")}`,
      typeof json === "number" && unknownNumber !== undefined ? { code: unknownNumber } : {},
    );
  };
}
