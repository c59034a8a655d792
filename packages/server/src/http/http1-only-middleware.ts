import { constants } from "node:http2";
import { HoldfastError } from "../errors.js";
import { toHttp2Stream } from "./http2-stream.js";
import { sendProblem } from "./problem.js";
import type { ConnectMiddleware } from "./sse-middleware.js";

/**
 * Lets only HTTP/1.x pass. An HTTP/2 stream is reset with HTTP_1_1_REQUIRED [rfc9113 §7], which makes a browser repeat the
 * request over HTTP/1.1 without an error; where the stream can't be reached the answer is 505.
 *
 * A browser then uses HTTP/1.1 for the whole host: right for a host of its own, wrong beside an API.
 */
export function http1OnlyMiddleware(): ConnectMiddleware {
  return (request, response, next) => {
    if (request.httpVersionMajor < 2) return next();
    const stream = toHttp2Stream(response);
    if (stream !== undefined) {
      stream.close(constants.NGHTTP2_HTTP_1_1_REQUIRED);
      return undefined;
    }
    sendProblem(
      response,
      new HoldfastError(
        "HTTP_1_1_REQUIRED",
        "this resource is served over HTTP/1.1 alone; repeat the request over it",
      ),
    );
    return undefined;
  };
}
