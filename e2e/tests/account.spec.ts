import * as oidc from 'openid-client'
import { expect, test } from '../support/fixtures'
import { signIn } from '../support/pages'
import { errorOf, WebClient } from '../support/relying/web'
import { refused } from '../support/watch'

test('the list of sessions ends the one of another browser', async ({ page, newBrowser, person, signInAs, server }) => {
  const client = await WebClient.start(server, { skipConsent: true })
  const other = await newBrowser({
    userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  })
  await signInAs(person)
  await signInAs(person, other)
  await client.begin(other) // without offline_access: the refresh token belongs to that browser's session
  const { refreshToken = '' } = await client.signedIn(other)

  await page.goto('/account/sessions')
  await expect(page.getByText('This device')).toHaveCount(1)
  await page.getByRole('button', { name: 'Sign out Firefox on Linux' }).click()
  await expect(page.getByText('The device was signed out', { exact: true })).toBeVisible()
  await expect(page.getByRole('button', { name: /^Sign out / })).toHaveCount(0)

  await other.goto(`${server.origin}/account`)
  await expect(other).toHaveURL(/\/sign-in/)
  expect(await errorOf(oidc.refreshTokenGrant(client.config, refreshToken))).toBe('invalid_grant')
  await page.reload()
  await expect(page.getByText('This device')).toBeVisible()
  await client.stop()
})

test('all other browsers are signed out together', async ({ page, newBrowser, person, signInAs, server }) => {
  const others = [await newBrowser(), await newBrowser()]
  for (const browser of [page, ...others]) await signInAs(person, browser)
  await page.goto('/account/sessions')
  await page.getByRole('button', { name: 'Sign out all others' }).click()
  const dialog = page.getByRole('dialog')
  await expect(dialog).toContainText('2 other devices will be signed out.')
  await dialog.getByRole('button', { name: 'Sign out all others' }).click()
  await expect(page.getByText('All other devices were signed out', { exact: true })).toBeVisible()
  for (const browser of others) {
    await browser.goto(`${server.origin}/account`)
    await expect(browser).toHaveURL(/\/sign-in/)
  }
})

test('a new password ends every other session and every refresh token', async ({
  page,
  newBrowser,
  person,
  signInAs,
  server,
  watch,
}) => {
  watch.allow(refused(400), refused(401))
  const client = await WebClient.start(server, { skipConsent: true })
  const other = await newBrowser()
  await signInAs(person)
  await signInAs(person, other)
  await client.begin(page, { scope: 'openid offline_access', prompt: 'login' })
  await page.getByLabel('Password', { exact: true }).fill(person.password)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  const { refreshToken = '' } = await client.signedIn(page)

  await page.goto(`${server.origin}/account/security`)
  await page.getByLabel('Current password').fill('a mistake')
  await page.getByLabel('New password').fill('a much better password')
  await page.getByRole('button', { name: 'Change password' }).click()
  await expect(page.getByRole('alert').first()).toHaveText('The password is wrong.')
  await page.getByLabel('Current password').fill(person.password)
  await page.getByRole('button', { name: 'Change password' }).click()
  await expect(page.getByText('Password changed', { exact: true })).toBeVisible()

  expect(await errorOf(oidc.refreshTokenGrant(client.config, refreshToken))).toBe('invalid_grant')
  await other.goto(`${server.origin}/account`)
  await expect(other).toHaveURL(/\/sign-in/)
  await page.reload()
  await expect(page).toHaveURL('/account/security') // this browser got a new session
  await signIn(other, { email: person.email, password: 'a much better password' })
  await expect(other).toHaveURL('/account')
  await client.stop()
})

test('the profile is kept, and applications see it', async ({ page, person, signInAs, server }) => {
  const client = await WebClient.start(server, { skipConsent: true })
  await signInAs(person)
  await page.goto('/account')
  await page.getByLabel('Name', { exact: true }).fill('Countess of Lovelace')
  await page.getByRole('button', { name: 'Save changes' }).click()
  await expect(page.getByText('Profile saved', { exact: true })).toBeVisible()
  await client.begin(page)
  expect((await client.signedIn(page)).claims.name).toBe('Countess of Lovelace')
  await client.stop()
})

test('whoever deletes their account has to mean it, and is gone', async ({ page, person, signInAs, watch }) => {
  watch.allow(refused(401))
  await signInAs(person)
  await page.goto('/account')
  await page.getByRole('button', { name: 'Delete account…' }).click()
  const dialog = page.getByRole('dialog')
  const confirm = dialog.getByRole('button', { name: 'Delete my account' })
  await expect(confirm).toBeDisabled()
  await dialog.getByLabel(/Type “/).fill(person.email)
  await dialog.getByLabel('Your password').fill(person.password)
  await confirm.click()
  await expect(page.getByRole('heading', { name: 'You are signed out' })).toBeVisible()
  await page.goto('/sign-in')
  await signIn(page, person)
  await expect(page.getByRole('alert')).toHaveText('The e-mail address or the password is wrong.')
})

test('a session that ended elsewhere brings the person to sign in, and back', async ({
  page,
  server,
  person,
  signInAs,
  watch,
}) => {
  watch.allow(refused(401))
  await signInAs(person)
  await page.goto('/account')
  await expect(page.getByLabel('Name', { exact: true })).toBeVisible()
  await (await server.signIn(person)).json('POST', '/api/auth/revoke-sessions')
  await page.getByRole('link', { name: 'Sessions' }).click()
  await expect(page).toHaveURL(/\/sign-in\?return_to=/)
  await signIn(page, person)
  await expect(page).toHaveURL('/account/sessions')
})
