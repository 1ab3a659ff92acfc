/** The key of a sentence under admin.uris, or undefined when the URI is fine. The server decides; this answers while one types. */
export type UriFault =
  | 'empty'
  | 'characters'
  | 'notUri'
  | 'credentials'
  | 'fragment'
  | 'wildcard'
  | 'scheme'
  | 'http'
  | 'privateScheme'
  | 'notOrigin'

const allowed = /^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]+$/
const loopback = new Set(['localhost', '127.0.0.1', '[::1]'])

function parse(raw: string): URL | UriFault {
  if (raw === '') return 'empty'
  if (!allowed.test(raw)) return 'characters'
  if (!URL.canParse(raw)) return 'notUri'
  const url = new URL(raw)
  return url.username || url.password ? 'credentials' : url
}

function webFault(url: URL): UriFault | undefined {
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'scheme'
  if (url.protocol === 'http:' && !loopback.has(url.hostname)) return 'http'
}

/** Redirect URIs are compared as strings (RFC 6749 §3.1.2); only native clients have schemes of their own (RFC 8252 §7.1). */
export function redirectFault(raw: string, native: boolean): UriFault | undefined {
  const url = parse(raw)
  if (typeof url === 'string') return url
  if (raw.includes('#')) return 'fragment'
  if (raw.includes('*')) return 'wildcard'
  const web = url.protocol === 'https:' || url.protocol === 'http:'
  if (web || !native) return webFault(url)
  return url.protocol.slice(0, -1).includes('.') ? undefined : 'privateScheme'
}

export function linkFault(raw: string): UriFault | undefined {
  const url = parse(raw)
  return typeof url === 'string' ? url : webFault(url)
}

/** Origins are compared with what browsers send: scheme, host and port in lower case, and nothing else. */
export function originFault(raw: string): UriFault | undefined {
  const url = parse(raw)
  if (typeof url === 'string') return url
  return webFault(url) ?? (url.origin === raw ? undefined : 'notOrigin')
}

/** Audiences are names that look like addresses; nobody goes there. */
export function audienceFault(raw: string): UriFault | undefined {
  const url = parse(raw)
  if (typeof url === 'string') return url
  return raw.includes('#') ? 'fragment' : undefined
}
