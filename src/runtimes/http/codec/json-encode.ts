import type { Base64 } from "../base64.ts";
import { type FieldInfo, fieldName, type Kind, type Message, type MessageInfo } from "./schema.ts";

/** Writes a message as proto3 JSON text. */
export type JsonEncoder<T> = (value: T) => string;

/** The JSON of a field's value; "" for a zero value, which is left out. */
type Encode = (value: unknown) => string;

interface CompiledField {
  readonly property: string;
  /** `"name":` and, for every field after the first, the comma before it. */
  readonly label: string;
  readonly nextLabel: string;
  readonly encode: Encode;
}

/**
 * Compiles descriptions into encoders that write text directly: snake_case names in the order of the description,
 * 64-bit integers as strings, enums as names, zero values omitted, a message that is present written even when it
 * is empty. The output is what Go's jsonpb prints, byte by byte.
 */
export class JsonEncoders {
  readonly #base64: Base64;
  readonly #compiled = new Map<MessageInfo, Encode>();

  constructor(base64: Base64) {
    this.#base64 = base64;
  }

  of<T>(message: Message<T>): JsonEncoder<T> {
    return this.#message(message);
  }

  #message(message: MessageInfo): Encode {
    const known = this.#compiled.get(message);
    if (known !== undefined) return known;
    const fields: CompiledField[] = [];
    const encode: Encode =
      message.shape === "record" ? encodeRecord(fields) : encodeUnion(fields, message.payload);
    // Known before its fields are compiled, since one of them may be of this very type.
    this.#compiled.set(message, encode);
    if (message.shape === "record") {
      for (const [property, field] of message.fields) {
        fields.push(compiledField(property, fieldName(property, field), this.#field(field)));
      }
    } else {
      for (const [type, { name, message: content }] of message.cases) {
        fields.push(compiledField(type, name, this.#message(content())));
      }
    }
    return encode;
  }

  #field(field: FieldInfo): Encode {
    if (!field.repeated) return this.#kind(field.kind, encodeText);
    // Within a list nothing is left out, not even an empty string.
    const one =
      field.kind.type === "enum" ? encodeEnumItem(field.kind) : this.#kind(field.kind, JSON.stringify);
    return (value) => {
      const items = value as readonly unknown[];
      if (items.length === 0) return "";
      let text = "[" + one(items[0]);
      for (let i = 1; i < items.length; i++) text += "," + one(items[i]);
      return text + "]";
    };
  }

  #kind(kind: Kind, string: Encode): Encode {
    switch (kind.type) {
      case "bytes":
        return encodeBytes(this.#base64);
      case "string":
        return string;
      case "bool":
        return (value) => (value === true ? "true" : "");
      case "int64":
      case "uint64":
        if (kind.short === true) return encodeShortNumber;
        return kind.as === "number" ? encodeNumber : encodeBigint();
      case "enum": {
        const { names, values } = kind.enumeration;
        const texts = new Map(
          values.map((value, number) => [value, number === 0 ? "" : JSON.stringify(names[number])]),
        );
        return (value) => texts.get(value as string) ?? "";
      }
      case "message":
        return this.#message(kind.message());
    }
  }
}

function compiledField(property: string, name: string, encode: Encode): CompiledField {
  const label = `${JSON.stringify(name)}:`;
  return { property, label, nextLabel: `,${label}`, encode };
}

function encodeRecord(fields: readonly CompiledField[]): Encode {
  return (value) => {
    const record = value as Readonly<Record<string, unknown>>;
    let text = "";
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i]!;
      const content = record[field.property];
      if (content === undefined || content === null) continue;
      const json = field.encode(content);
      if (json !== "") text += (text === "" ? field.label : field.nextLabel) + json;
    }
    return "{" + text + "}";
  };
}

function encodeUnion(cases: readonly CompiledField[], payload: string): Encode {
  return (value) => {
    const record = value as Readonly<Record<string, unknown>>;
    const chosen = cases.find(({ property }) => property === record["type"]);
    return chosen === undefined ? "{}" : "{" + chosen.label + chosen.encode(record[payload]) + "}";
  };
}

function encodeBytes(base64: Base64): Encode {
  return (value) => {
    const bytes = value as Uint8Array;
    // Base64 needs no escaping.
    return bytes.length === 0 ? "" : '"' + base64.encode(bytes) + '"';
  };
}

function encodeText(value: unknown): string {
  return value === "" ? "" : JSON.stringify(value);
}

function encodeShortNumber(value: unknown): string {
  return value === 0 ? "" : String(value);
}

function encodeNumber(value: unknown): string {
  return value === 0 ? "" : '"' + String(value as number) + '"';
}

function encodeEnumItem({ enumeration: { names, values } }: Kind & { readonly type: "enum" }): Encode {
  return (value) => JSON.stringify(names[values.indexOf(value as string)]);
}

/** Remembers the last one: cluster and member ids, the only bigints of a hot path, hardly ever change. */
function encodeBigint(): Encode {
  let last = 0n;
  let text = "";
  return (value) => {
    if (value !== last) {
      last = value as bigint;
      text = last === 0n ? "" : '"' + last.toString() + '"';
    }
    return text;
  };
}
