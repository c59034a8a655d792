// Express' compression beside streams, by its documentation. It gathers a stream until its block is full: events come late, or at the end.
import compression from "compression";

export const compressAllButStreams = compression({
  // Holdfast's streams say no-transform and are left alone already; this is for streams of other servers in the same app.
  filter: (request, response) =>
    !String(response.getHeader("Content-Type") ?? "").startsWith("text/event-stream") &&
    compression.filter(request, response),
});
