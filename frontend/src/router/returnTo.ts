const home = '/account'

/**
 * The page to go to after signing in. It comes from the address, so it is a stranger's word: only a path of this app counts
 * (an open redirector helps phishing, RFC 9700 §4.11.1). Browsers read "/\evil.example" as another host; URL does too.
 */
export function returnPath(asked: unknown): string {
  if (typeof asked !== 'string' || !asked.startsWith('/')) return home
  const url = new URL(asked, location.origin)
  if (url.origin !== location.origin || url.pathname.startsWith('/api/')) return home
  return url.pathname + url.search + url.hash
}
