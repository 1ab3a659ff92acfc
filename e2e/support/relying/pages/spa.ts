// A single-page application as its authors write one with oauth4webapi: no server, no secret, tokens in memory.
import * as oauth from 'oauth4webapi'

const http = { [oauth.allowInsecureRequests]: true }
const settings = JSON.parse(document.getElementById('settings')?.textContent ?? '{}') as {
  issuer: string
  clientId: string
}
const client: oauth.Client = { client_id: settings.clientId }
const redirectURI = `${location.origin}/callback`
const issuer = new URL(settings.issuer)
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, http))
let tokens: oauth.TokenEndpointResponse | undefined

function show(heading: string, result: unknown) {
  document.querySelector('h1')!.textContent = heading
  document.querySelector('pre')!.textContent = JSON.stringify(result)
}

function button(id: string, act: () => Promise<void>) {
  document
    .getElementById(id)!
    .addEventListener('click', () => void act().catch((e: oauth.ResponseBodyError) => show(`Refused: ${e.error}`, {})))
}

async function signIn() {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  sessionStorage.setItem('pending', JSON.stringify({ verifier, state }))
  const url = new URL(server.authorization_endpoint!)
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: redirectURI,
    response_type: 'code',
    scope: 'openid profile email',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
  }).toString()
  location.assign(url)
}

async function callback() {
  const { verifier, state } = JSON.parse(sessionStorage.getItem('pending') ?? '{}') as {
    verifier: string
    state: string
  }
  const answer = oauth.validateAuthResponse(server, client, new URL(location.href), state)
  const response = await oauth.authorizationCodeGrantRequest(
    server,
    client,
    oauth.None(),
    answer,
    redirectURI,
    verifier,
    http,
  )
  tokens = await oauth.processAuthorizationCodeResponse(server, client, response, { requireIdToken: true })
  show(`Signed in as ${oauth.getValidatedIdTokenClaims(tokens)!.sub}`, tokens)
}

button('sign-in', signIn)
button('userinfo', async () => {
  const subject = oauth.getValidatedIdTokenClaims(tokens!)!.sub
  const response = await oauth.userInfoRequest(server, client, tokens!.access_token, http)
  const claims = await oauth.processUserInfoResponse(server, client, subject, response)
  show(`This is ${claims.name}`, claims)
})
button('refresh', async () => {
  const response = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), tokens!.refresh_token!, http)
  tokens = { ...tokens, ...(await oauth.processRefreshTokenResponse(server, client, response)) }
  show('Refreshed', tokens)
})
button('revoke', async () => {
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(server, client, oauth.None(), tokens!.refresh_token!, http),
  )
  show('Revoked', {})
})
if (location.pathname === '/callback') await callback()
else show('Signed out', {})
