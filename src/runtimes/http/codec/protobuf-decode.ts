import { WireType } from "@bufbuild/protobuf/wire";
import { assert, EngineError } from "../../../core/errors/index.ts";
import { FieldProblem } from "./field-problem.ts";
import { ProtobufReader } from "./protobuf-reader.ts";
import {
  type Enumeration,
  type FieldInfo,
  fieldName,
  type Kind,
  type Message,
  type MessageInfo,
  type RecordInfo,
  type UnionInfo,
} from "./schema.ts";
import { tagOf } from "./wire-type.ts";

/**
 * Reads a message in protobuf's binary format. Its byte strings are views of `bytes`.
 *
 * @throws EngineError `malformed` for what is not protobuf; `invalidArgument` or `invalidSortOption` for what means
 * nothing.
 */
export type ProtobufDecoder<T> = (bytes: Uint8Array) => T;

/** Reads a value; `before` is what has been read of it so far. */
type Read = (reader: ProtobufReader, depth: number, before: unknown) => unknown;

interface CompiledField {
  readonly property: string;
  /** For complaints. */
  readonly name: string;
  /** One bit for each field of a message. */
  readonly bit: number;
  readonly read: Read;
}

/** protobuf's own limit on messages within messages; keeps hostile input from exhausting the stack. */
const MAX_DEPTH = 100;

/**
 * Compiles descriptions into decoders that do as protobuf says: unknown fields are passed over, of one that is there
 * twice the last counts, messages that are there twice are merged, lists of numbers are taken packed and not. Of a
 * oneof the last counts. Each message is compiled once.
 */
export class ProtobufDecoders {
  readonly #compiled = new Map<MessageInfo, Read>();

  /** @param root names the message in complaints: `txn.success[3].request_put: ...`. */
  of<T>(message: Message<T>, root: string): ProtobufDecoder<T> {
    const read = this.#message(message);
    return (bytes) => {
      const reader = new ProtobufReader(bytes, root);
      try {
        return read(reader, 0, undefined) as T;
      } catch (error) {
        if (!(error instanceof FieldProblem)) throw reader.complaint(error);
        throw new EngineError(error.code ?? "invalidArgument", { detail: error.inside(root).toString() });
      }
    };
  }

  /** What is read reaches to the end of what the reader has entered. */
  #message(message: MessageInfo): Read {
    const known = this.#compiled.get(message);
    if (known !== undefined) return known;
    return message.shape === "record" ? this.#record(message) : this.#union(message);
  }

  #record(message: RecordInfo): Read {
    const fields = new Map<number, CompiledField>();
    const read: Read = (reader, depth, before) => {
      checkDepth(depth);
      const value = (before ?? message.create()) as Record<string, unknown>;
      // Only what was read here may be added to: what an empty message begins with can be shared by all of them.
      let begun = 0;
      while (reader.hasMore) {
        const tag = reader.tag();
        const field = fields.get(tag);
        if (field === undefined) {
          reader.passOver(tag);
          continue;
        }
        try {
          const isFirst = (begun & field.bit) === 0;
          value[field.property] = field.read(reader, depth, isFirst ? undefined : value[field.property]);
          begun |= field.bit;
        } catch (error) {
          throw error instanceof FieldProblem ? error.inside(field.name) : error;
        }
      }
      return message.finish === null ? value : message.finish(value);
    };
    // Known before its fields are compiled, since one of them may be of this very type.
    this.#compiled.set(message, read);
    let index = 0;
    for (const [property, field] of message.fields) {
      assert(index < 32, "a message has at most 32 fields");
      const bit = 1 << index++;
      if (field.number === null) continue;
      const name = fieldName(property, field);
      for (const [wireType, each] of this.#field(field)) {
        fields.set(tagOf(field.number, wireType), { property, name, bit, read: each });
      }
    }
    return read;
  }

  #union(message: UnionInfo): Read {
    const cases = new Map<number, { readonly type: string; readonly name: string; readonly read: Read }>();
    const names = [...message.cases.values()].map(({ name }) => name).join(", ");
    const read: Read = (reader, depth) => {
      checkDepth(depth);
      let value: object | null = null;
      while (reader.hasMore) {
        const tag = reader.tag();
        const chosen = cases.get(tag);
        if (chosen === undefined) {
          reader.passOver(tag);
          continue;
        }
        try {
          value = { type: chosen.type, [message.payload]: chosen.read(reader, depth, undefined) };
        } catch (error) {
          throw error instanceof FieldProblem ? error.inside(chosen.name) : error;
        }
      }
      if (value === null) throw new FieldProblem(`none of ${names}`);
      return value;
    };
    this.#compiled.set(message, read);
    for (const [type, { number, name, message: content }] of message.cases) {
      const compiled = { type, name, read: entered(this.#message(content())) };
      cases.set(tagOf(number, WireType.LengthDelimited), compiled);
    }
    return read;
  }

  /** How a field is read, by the wire types that it may have. */
  #field({ kind, repeated }: FieldInfo): [number, Read][] {
    const one = this.#kind(kind);
    const isDelimited = kind.type === "bytes" || kind.type === "string" || kind.type === "message";
    if (!repeated) return [[isDelimited ? WireType.LengthDelimited : WireType.Varint, one]];
    if (isDelimited) return [[WireType.LengthDelimited, appended(one)]];
    return [
      [WireType.Varint, appended(one)],
      [WireType.LengthDelimited, packed(one)],
    ];
  }

  #kind(kind: Kind): Read {
    switch (kind.type) {
      case "bytes":
        return (reader) => reader.bytes();
      case "string":
        return (reader) => reader.text();
      case "bool":
        return (reader) => reader.bool();
      case "int64":
        return kind.as === "number" ? (reader) => reader.int() : (reader) => reader.bigInt();
      case "uint64":
        return kind.as === "number" ? (reader) => reader.uint() : (reader) => reader.bigUint();
      case "enum":
        return readEnum(kind.enumeration);
      case "message": {
        const message = kind.message();
        const read = entered(this.#message(message));
        // What was finished is no longer the fields that another part could be added to.
        const canMerge = message.shape === "record" && message.finish === null;
        return canMerge ? read : (reader, depth) => read(reader, depth, undefined);
      }
    }
  }
}

function checkDepth(depth: number): void {
  if (depth > MAX_DEPTH) throw new FieldProblem(`nested more than ${MAX_DEPTH} deep`);
}

function entered(read: Read): Read {
  return (reader, depth, before) => {
    const outer = reader.enter();
    const value = read(reader, depth + 1, before);
    reader.leave(outer);
    return value;
  };
}

function appended(read: Read): Read {
  return (reader, depth, before) => {
    const list = listOf(before);
    try {
      list.push(read(reader, depth, undefined));
    } catch (error) {
      throw error instanceof FieldProblem ? error.inside(`[${list.length}]`) : error;
    }
    return list;
  };
}

function packed(read: Read): Read {
  return (reader, depth, before) => {
    const list = listOf(before);
    const outer = reader.enter();
    while (reader.hasMore) list.push(read(reader, depth, undefined));
    reader.leave(outer);
    return list;
  };
}

function listOf(before: unknown): unknown[] {
  return (before as unknown[] | undefined) ?? [];
}

function readEnum({ names, values, unknownNumber }: Enumeration): Read {
  return (reader) => {
    const value = values[reader.enumNumber()];
    if (value !== undefined) return value;
    throw new FieldProblem(
      `not one of ${names.join(", ")}`,
      unknownNumber === undefined ? {} : { code: unknownNumber },
    );
  };
}
