/**
 * The path as it came, still percent-encoded: `/kv/` takes any bytes as a key, and Hono's own reading would decode
 * some of them.
 */
export function rawPath(request: Request): string {
  const { url } = request;
  const start = url.indexOf("/", url.indexOf("://") + 3);
  if (start === -1) return "/";
  const query = url.indexOf("?", start);
  const fragment = url.indexOf("#", start);
  if (query === -1) return fragment === -1 ? url.slice(start) : url.slice(start, fragment);
  return url.slice(start, fragment === -1 ? query : Math.min(query, fragment));
}
