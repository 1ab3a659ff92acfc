import * as oidc from 'openid-client'
import { expect, test } from '../support/fixtures'
import { allow, signIn } from '../support/pages'
import { errorOf, WebClient } from '../support/relying/web'

// The main job, end to end: a client that nobody here wrote signs a person in.
test('a web client signs a person in, reads userinfo, refreshes and signs out', async ({ page, server, person }) => {
  const client = await WebClient.start(server)
  await client.begin(page, { scope: 'openid profile email offline_access', prompt: 'consent' })
  await signIn(page, person)
  await allow(page, client.application.name)
  const tokens = await client.signedIn(page)

  expect(tokens.claims).toMatchObject({
    iss: server.issuer,
    sub: person.id,
    aud: client.application.clientId,
    email: person.email,
    name: person.name,
  })
  const info = await oidc.fetchUserInfo(client.config, tokens.accessToken, person.id)
  expect(info).toMatchObject({ sub: person.id, email: person.email, name: person.name })

  const refreshed = await oidc.refreshTokenGrant(client.config, tokens.refreshToken ?? '')
  expect(refreshed.claims()?.sub).toBe(person.id)
  expect(refreshed.refresh_token).not.toBe(tokens.refreshToken)
  await oidc.fetchUserInfo(client.config, refreshed.access_token, person.id)

  await page.goto(
    `${client.origin}/logout?${new URLSearchParams({ id_token_hint: tokens.idToken, post_logout_redirect_uri: `${client.origin}/bye`, state: 'back' })}`,
  )
  await expect(page.getByRole('heading', { name: 'Signed out of the client' })).toBeVisible()
  expect(new URL(page.url()).searchParams.get('state')).toBe('back')
  await page.goto('/account')
  await expect(page).toHaveURL(/\/sign-in/)
  await client.stop()
})

test('a code works once, and its tokens die when it is shown again', async ({ page, server, person, signInAs }) => {
  const client = await WebClient.start(server, { skipConsent: true })
  await signInAs(person)
  const state = oidc.randomState()
  const answered = page.waitForRequest((r) => r.url().startsWith(`${client.origin}/callback`))
  await client.begin(page, { state })
  const tokens = await client.signedIn(page)
  // RFC 6749 §4.1.2: whoever shows the code again may have stolen it, and so may the one who was faster.
  expect(await errorOf(client.exchange(new URL((await answered).url()), state))).toBe('invalid_grant')
  expect(await errorOf(oidc.fetchUserInfo(client.config, tokens.accessToken, person.id))).toBe('invalid_token')
  await client.stop()
})
