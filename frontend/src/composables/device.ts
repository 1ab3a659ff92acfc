export interface Device {
  browser?: string
  system?: string
  kind: 'phone' | 'desktop' | 'program'
}

// The order matters: most browsers also claim to be the ones that were popular before them.
const browsers: [string, RegExp][] = [
  ['Edge', /Edg(e|A|iOS)?\//],
  ['Opera', /OPR\//],
  ['Samsung Internet', /SamsungBrowser\//],
  ['Firefox', /(Firefox|FxiOS)\//],
  ['Chrome', /(Chrome|CriOS|HeadlessChrome)\//],
  ['Safari', /Safari\//],
]
const systems: [string, RegExp][] = [
  ['iOS', /iPhone|iPad|iPod/],
  ['Android', /Android/],
  ['Windows', /Windows/],
  ['ChromeOS', /CrOS/],
  ['macOS', /Macintosh|Mac OS X/],
  ['Linux', /Linux|X11/],
]

/** A guess good enough for a person to recognize their own device by. */
export function describeDevice(userAgent: string | null): Device {
  const agent = userAgent ?? ''
  const browser = browsers.find(([, pattern]) => pattern.test(agent))?.[0]
  const system = systems.find(([, pattern]) => pattern.test(agent))?.[0]
  if (!browser) return { browser: /^[\w.-]+/.exec(agent)?.[0], system, kind: 'program' }
  return { browser, system, kind: /Mobile|Android|iPhone|iPad/.test(agent) ? 'phone' : 'desktop' }
}
