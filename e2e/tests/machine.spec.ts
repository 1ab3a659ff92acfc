import * as oauth from 'oauth4webapi'
import { expect, test } from '../support/fixtures'
import { unique } from '../support/server'

const http = { [oauth.allowInsecureRequests]: true }

test('a machine client gets a token, asks about it and revokes it', async ({ server }) => {
  const application = await server.application({
    name: unique('Batch'),
    type: 'm2m',
    scopes: ['invoices:read', 'invoices:write'],
  })
  const client: oauth.Client = { client_id: application.clientId }
  const secret = oauth.ClientSecretBasic(application.clientSecret ?? '')
  const issuer = new URL(server.issuer)
  const provider = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, http))
  const introspect = async (token: string) =>
    oauth.processIntrospectionResponse(
      provider,
      client,
      await oauth.introspectionRequest(provider, client, secret, token, http),
    )

  const answer = await oauth.clientCredentialsGrantRequest(provider, client, secret, { scope: 'invoices:read' }, http)
  const { access_token: token, scope } = await oauth.processClientCredentialsResponse(provider, client, answer)
  expect(scope ?? 'invoices:read').toBe('invoices:read')
  expect(await introspect(token)).toMatchObject({
    active: true,
    client_id: application.clientId,
    sub: application.clientId,
    scope: 'invoices:read',
  })

  await oauth.processRevocationResponse(await oauth.revocationRequest(provider, client, secret, token, http))
  expect(await introspect(token)).toEqual({ active: false })
  expect(await introspect('not.a.token')).toEqual({ active: false })
})

test('a machine client is refused what it is not registered for', async ({ server }) => {
  const application = await server.application({ name: unique('Batch'), type: 'm2m', scopes: ['invoices:read'] })
  const client: oauth.Client = { client_id: application.clientId }
  const issuer = new URL(server.issuer)
  const provider = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, http))
  const ask = async (secret: string, scope: string) =>
    oauth.processClientCredentialsResponse(
      provider,
      client,
      await oauth.clientCredentialsGrantRequest(provider, client, oauth.ClientSecretBasic(secret), { scope }, http),
    )
  await expect(ask(application.clientSecret ?? '', 'invoices:write')).rejects.toMatchObject({ error: 'invalid_scope' })
  await expect(ask(application.clientSecret ?? '', 'openid')).rejects.toMatchObject({ error: 'invalid_scope' })
  await expect(ask('cs_wrong', 'invoices:read')).rejects.toMatchObject({ status: 401 })
})
