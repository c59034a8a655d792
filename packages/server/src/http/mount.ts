/**
 * The door as `(req, res, next)`, wherever a host mounts it.
 *
 * Express and Connect cut the mount path off `req.url` and keep the whole in `req.originalUrl`. Links point below `basePath`, so:
 * - the whole path lies below `basePath` (mounted there, or not mounted at all): it is taken as it is;
 * - it does not (a proxy in front has cut a part off, or `basePath` was left empty): what the host left of the path is put below `basePath`.
 * A path that is none of ours goes to `next()`, untouched; without `next` it is answered 404.
 */
import type { NodeRequest, NodeResponse } from "./http2-stream.js";

export type MountedHandler = (
  request: NodeRequest,
  response: NodeResponse,
  next?: (error?: unknown) => void,
) => void;

export interface MountOptions {
  readonly basePath: string;
  /** Whether this path, basePath included, belongs to the service. */
  readonly owns: (path: string) => boolean;
  readonly routing: (request: NodeRequest, response: NodeResponse) => void;
}

export function mount({ basePath, owns, routing }: MountOptions): MountedHandler {
  return (request, response, next) => {
    const url = request.url ?? "/";
    const whole = wholeUrl(request, basePath);
    const path = whole.split("?", 1)[0] ?? "/";
    if (next !== undefined && !owns(path)) return next();
    request.url = whole;
    // Whoever logs after us expects the host's view of the path.
    response.once("close", () => {
      request.url = url;
    });
    return routing(request, response);
  };
}

function wholeUrl(request: NodeRequest, basePath: string): string {
  const url = request.url ?? "/";
  const { originalUrl = url } = request as { originalUrl?: string };
  const mounted = originalUrl !== url;
  if (!mounted || (basePath !== "" && isBelow(originalUrl.split("?", 1)[0] ?? "/", basePath)))
    return originalUrl;
  return `${basePath}${url.startsWith("/") ? url : `/${url}`}`;
}

function isBelow(path: string, basePath: string): boolean {
  return basePath === "" || path === basePath || path.startsWith(`${basePath}/`);
}
