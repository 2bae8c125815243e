export { openDurableObjectStorage } from "./durable-object-storage.ts";
export type { DurableObjectStorageEngine } from "./durable-object-storage.ts";
export type { DurableObjectStorage, SqlCursor, SqlStorage, SqlValue } from "./platform.ts";
