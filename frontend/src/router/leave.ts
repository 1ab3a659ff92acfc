// Schemes that would run or show content in our origin's name instead of leaving it.
const forbidden = new Set(['javascript:', 'data:', 'vbscript:', 'blob:', 'filesystem:', 'file:', 'about:'])

/**
 * Leaves the app for an address that the server answered with. Native applications have schemes of their own
 * (RFC 8252 §7.1), so any scheme is fine but those that a browser would execute here.
 */
export function leave(address: string) {
  if (forbidden.has(schemeOf(address))) throw new Error(`refusing to open a ${schemeOf(address)} address`)
  location.assign(address)
}

/** Whether the browser stays on this page after leave, because another program opens the address. */
export const opensAnotherProgram = (address: string) => !['http:', 'https:'].includes(schemeOf(address))

const schemeOf = (address: string) => new URL(address, location.origin).protocol
