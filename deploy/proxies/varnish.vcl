# Holdfast behind Varnish 7 with Hitch in front, which speaks TLS (holdfast proxy hitch). HTTP/2 and HTTP/1.1 to the browser.
# varnishd -f /etc/varnish/holdfast.vcl -a 127.0.0.1:6086,PROXY -p feature=+http2
vcl 4.1;

backend holdfast {
  .host = "{{upstream-host}}";
  .port = "{{upstream-port}}";
  .connect_timeout = 5s;
  # The silence that Varnish allows to Holdfast: 60 s each by itself. A heartbeat comes every 10 s.
  .first_byte_timeout = 1h;
  .between_bytes_timeout = 1h;
}

sub vcl_recv {
  # Nothing of Holdfast is to be cached, and nobody waits for the answer to somebody else: without this the second reader of a stream
  # gets the stream of the first.
  return (pass);
}

sub vcl_backend_response {
  # Each piece goes on as it comes; without it a response may be fetched whole first.
  set beresp.do_stream = true;
  # A compressor holds events back until it has a block full.
  set beresp.do_gzip = false;
  set beresp.uncacheable = true;
  if (beresp.status >= 502 && beresp.status <= 504 && bereq.method == "GET" && bereq.http.Accept ~ "text/event-stream") {
    return (error(503));
  }
  return (deliver);
}

# EventSource gives up for good on a 502; an empty stream makes it come back.
sub vcl_backend_error {
  if (bereq.method == "GET" && bereq.http.Accept ~ "text/event-stream") {
    set beresp.status = 200;
    set beresp.reason = "OK";
    set beresp.http.Content-Type = "text/event-stream";
    set beresp.http.Cache-Control = "no-store";
    set beresp.body = {"retry: 2000

"};
    return (deliver);
  }
}
