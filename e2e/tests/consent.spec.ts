import * as oidc from 'openid-client'
import { expect, test } from '../support/fixtures'
import { allow, expectConsent } from '../support/pages'
import { errorOf, WebClient } from '../support/relying/web'

test('whoever allows less gives less', async ({ page, server, person, signInAs }) => {
  const client = await WebClient.start(server)
  await signInAs(person)
  await client.begin(page, { scope: 'openid profile email offline_access' })
  await expectConsent(page, client.application.name)
  await page.getByRole('checkbox', { name: 'See your e-mail address' }).click()
  await page.getByRole('checkbox', { name: 'Stay connected' }).click()
  await allow(page, client.application.name)
  const tokens = await client.signedIn(page)
  expect(tokens.scope?.split(' ').sort()).toEqual(['openid', 'profile'])
  expect(tokens.claims.name).toBe(person.name)
  expect(tokens.claims.email).toBeUndefined()
  const info = await oidc.fetchUserInfo(client.config, tokens.accessToken, person.id)
  expect(info.email).toBeUndefined()
  await client.stop()
})

test('what was allowed is not asked again, more is', async ({ page, server, person, signInAs }) => {
  const client = await WebClient.start(server)
  await signInAs(person)
  await client.begin(page, { scope: 'openid profile' })
  await allow(page, client.application.name)
  await client.signedIn(page)
  await client.begin(page, { scope: 'openid profile', state: 'same' })
  expect((await client.signedIn(page)).state).toBe('same')
  await client.begin(page, { scope: 'openid profile email' })
  await expectConsent(page, client.application.name)
  await client.stop()
})

test('an application whose access is removed cannot refresh and has to ask again', async ({
  page,
  server,
  person,
  signInAs,
}) => {
  const client = await WebClient.start(server)
  await signInAs(person)
  await client.begin(page, { scope: 'openid offline_access' })
  await allow(page, client.application.name)
  const { refreshToken = '', accessToken } = await client.signedIn(page)

  await page.goto('/account/applications')
  await page.getByRole('button', { name: `Remove the access of ${client.application.name}` }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Remove access' }).click()
  await expect(page.getByRole('heading', { name: 'No connected applications' })).toBeVisible()

  expect(await errorOf(oidc.refreshTokenGrant(client.config, refreshToken))).toBe('invalid_grant')
  expect(await errorOf(oidc.fetchUserInfo(client.config, accessToken, person.id))).toBe('invalid_token')
  await client.begin(page, { scope: 'openid offline_access' })
  await expectConsent(page, client.application.name)
  await client.stop()
})

test('somebody else can take over at the consent page', async ({ page, server, person, signInAs }) => {
  const client = await WebClient.start(server)
  const other = await server.person('Sophie Germain')
  await signInAs(person)
  await client.begin(page)
  await expectConsent(page, client.application.name)
  await page.getByRole('button', { name: 'Not you?' }).click()
  await page.getByRole('textbox', { name: 'E-mail address' }).fill(other.email)
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.getByLabel('Password', { exact: true }).fill(other.password)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await allow(page, client.application.name)
  expect((await client.signedIn(page)).claims.sub).toBe(other.id)
  await client.stop()
})
