// The two Web globals that the pure boxes may use, declared so narrowly that every platform's own types
// satisfy them. Only sources see this file: it is not emitted, so users get their platform's declarations.

declare class TextEncoder {
  constructor();
  encode(input?: string): Uint8Array<ArrayBuffer>;
  encodeInto(source: string, destination: Uint8Array): { read: number; written: number };
}

declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(input?: ArrayBufferLike | ArrayBufferView, options?: { stream?: boolean }): string;
}
