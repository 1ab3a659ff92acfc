import { expect, test } from '../support/fixtures'
import { allow, expectConsent, signIn } from '../support/pages'
import { WebClient } from '../support/relying/web'

test('a client without an ID token to show has the person confirm that they sign out', async ({
  page,
  server,
  person,
  signInAs,
}) => {
  const client = await WebClient.start(server)
  await signInAs(person)
  await page.goto(
    `${client.origin}/logout?${new URLSearchParams({ post_logout_redirect_uri: `${client.origin}/bye`, state: 's' })}`,
  )
  await expect(page.getByText(person.email)).toBeVisible()
  await page.getByRole('button', { name: 'Sign out', exact: true }).click()
  await expect(page.getByRole('heading', { name: 'Signed out of the client' })).toBeVisible()
  expect((await page.request.get('/api/auth/get-session').then((r) => r.json())) as unknown).toBeNull()
  await client.stop()
})

test('a client can have its answer posted', async ({ page, server, person }) => {
  const client = await WebClient.start(server)
  await client.begin(page, { response_mode: 'form_post' })
  await signIn(page, person)
  await allow(page, client.application.name)
  expect((await client.signedIn(page)).claims.sub).toBe(person.id)
  expect(page.url()).toBe(`${client.origin}/callback`)
  // With session and consent nothing is asked, and the answer is posted straight from the authorization endpoint.
  await client.begin(page, { response_mode: 'form_post', state: 'second' })
  expect((await client.signedIn(page)).state).toBe('second')
  await client.stop()
})

test('a refusal reaches the client, also when it is posted', async ({ page, server, person, signInAs }) => {
  const client = await WebClient.start(server)
  await signInAs(person)
  for (const mode of ['query', 'form_post']) {
    await client.begin(page, { response_mode: mode, state: mode })
    await expectConsent(page, client.application.name)
    await page.getByRole('button', { name: 'Cancel', exact: true }).click()
    expect(await client.refused(page)).toEqual({ state: mode, error: 'access_denied' })
  }
  await client.stop()
})

test('whoever gives up on the sign-in page is back at the client', async ({ page, server }) => {
  const client = await WebClient.start(server)
  await client.begin(page, { state: 'x' })
  await page.getByRole('button', { name: `Cancel and return to ${client.application.name}` }).click()
  expect(await client.refused(page)).toEqual({ state: 'x', error: 'access_denied' })
  await client.stop()
})

test('an address that is not registered is never redirected to', async ({ page, server }) => {
  const client = await WebClient.start(server)
  await client.begin(page, { redirect_uri: 'http://127.0.0.1:9/evil' })
  await expect(page.getByRole('heading', { name: 'Unknown return address' })).toBeVisible()
  expect(new URL(page.url()).origin).toBe(server.origin)
  await client.stop()
})
