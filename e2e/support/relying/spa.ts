import { unique, type Application, type AuthServer } from '../server'
import { bundle } from './bundle'
import { Site } from './site'

/** A single-page application on an origin of its own, which calls the token endpoint from the browser. */
export async function startSPA(server: AuthServer): Promise<{ site: Site; application: Application }> {
  const script = await bundle('spa.ts')
  let page = ''
  const site = await Site.start((url) =>
    url.pathname === '/spa.js' ? { headers: { 'Content-Type': 'text/javascript' }, body: script } : { body: page },
  )
  const application = await server.application({
    name: unique('Board'),
    type: 'spa',
    redirectUris: [`${site.origin}/callback`],
  })
  const settings = JSON.stringify({ issuer: server.issuer, clientId: application.clientId })
  const buttons = ['sign-in', 'userinfo', 'refresh', 'revoke'].map((id) => `<button id="${id}">${id}</button>`)
  page = `<!doctype html><html lang="en"><title>Board</title><link rel="icon" href="data:,"><h1>…</h1>${buttons.join('')}<pre></pre>
    <script type="application/json" id="settings">${settings}</script><script type="module" src="/spa.js"></script></html>`
  return { site, application }
}
