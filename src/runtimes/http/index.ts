export { createApp, createSockets, ETCD_VERSION } from "./app.ts";
export type { SocketServer, TextSocket } from "./etcd/stream-socket.ts";
export { type Base64, portableBase64, unpaddedLength } from "./base64.ts";
export {
  APP_LIMITS,
  type AppLimits,
  type AppOptions,
  type ClientAuth,
  type CorsOptions,
  type Metrics,
} from "./options.ts";
