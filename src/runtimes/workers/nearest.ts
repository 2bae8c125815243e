import type { WorkersNode } from "./node-list.ts";

/** Roughly where Cloudflare puts objects with a hint: latitude and longitude in degrees. */
const PLACES: Readonly<Record<string, readonly [number, number]>> = {
  wnam: [40, -120],
  enam: [40, -78],
  sam: [-20, -50],
  weur: [50, 2],
  eeur: [50, 25],
  apac: [20, 115],
  oc: [-33, 150],
  afr: [-10, 25],
  me: [25, 50],
};

/** What the platform knows about where a request comes from. */
export interface Whereabouts {
  readonly latitude?: string;
  readonly longitude?: string;
}

/** The nodes by distance from there; in the order of the configuration where one is not known. */
export function nearestFirst(nodes: readonly WorkersNode[], from: Whereabouts | undefined): WorkersNode[] {
  const here = [Number(from?.latitude), Number(from?.longitude)] as const;
  if (here.some(Number.isNaN)) return [...nodes];
  const distance = ({ object }: WorkersNode): number => {
    const place = PLACES[object?.locationHint ?? ""];
    return place === undefined ? Math.PI : angle(here, place);
  };
  return nodes.toSorted((a, b) => distance(a) - distance(b));
}

/** Between two points on a sphere, in radians. */
function angle(a: readonly [number, number], b: readonly [number, number]): number {
  const [aLatitude, aLongitude, bLatitude, bLongitude] = [...a, ...b].map(
    (degrees) => (degrees * Math.PI) / 180,
  ) as [number, number, number, number];
  const cosine =
    Math.sin(aLatitude) * Math.sin(bLatitude) +
    Math.cos(aLatitude) * Math.cos(bLatitude) * Math.cos(aLongitude - bLongitude);
  return Math.acos(Math.min(1, Math.max(-1, cosine)));
}
