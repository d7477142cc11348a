import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

export type Refusal = { readonly code: 401 | 421; readonly why: string };

/**
 * Who may read the pages.
 *
 * On loopback anybody on this machine may, but no web site: a page in a browser can have its own name resolve to 127.0.0.1
 * (DNS rebinding) and then read what answers there, so the `Host` header must name this machine. Beyond loopback a key is
 * needed, and with it the name does not matter, because a web site does not have the key.
 */
export function refusalOf(headers: IncomingHttpHeaders, key: string | null): Refusal | undefined {
  if (key !== null) {
    if (isKey(headers.authorization, key)) return undefined;
    return { code: 401, why: 'send `authorization: Bearer KEY` with the key of web.key' };
  }
  if (isLoopbackHost(headers.host)) return undefined;
  return { code: 421, why: 'the Host header names another machine; ask for 127.0.0.1 or localhost' };
}

function isLoopbackHost(host: string | undefined): boolean {
  const name = host?.replace(/:\d{1,5}$/, '').toLowerCase();
  return name === 'localhost' || name === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(name ?? '');
}

/** Hashed first, so that neither the length nor a common beginning shows in the time that it takes. */
function isKey(authorization: string | undefined, key: string): boolean {
  const given = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return given !== undefined && timingSafeEqual(digest(given), digest(key));
}
