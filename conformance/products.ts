/** The proxies from Debian, in the order of the page. */
import { APACHE } from "./products/apache.js";
import { CADDY } from "./products/caddy.js";
import { HAPROXY } from "./products/haproxy.js";
import { LIGHTTPD } from "./products/lighttpd.js";
import { NGINX } from "./products/nginx.js";
import type { Product } from "./products/product.js";
import { SQUID } from "./products/squid.js";
import { VARNISH } from "./products/varnish.js";

export const PRODUCTS: readonly Product[] = [NGINX, APACHE, HAPROXY, CADDY, VARNISH, LIGHTTPD, SQUID];
