import * as oidc from 'openid-client'
import { expect, test } from '../support/fixtures'
import { errorOf, WebClient } from '../support/relying/web'
import { AuthServer, unique } from '../support/server'

test('the console begins with how to make the first application', async ({ page }) => {
  const server = await AuthServer.start()
  await page.goto(`${server.origin}/sign-in`)
  const signedIn = await page.request.post(`${server.origin}/api/auth/sign-in/email`, {
    data: server.admin,
    headers: { Origin: server.origin },
  })
  expect(signedIn.status()).toBe(200)
  await page.goto(`${server.origin}/admin`)
  await expect(page.getByRole('heading', { name: 'No applications yet' })).toBeVisible()
  await page.getByRole('main').getByRole('link', { name: 'New application' }).last().click()
  await expect(page).toHaveURL(/\/admin\/applications\/new$/)
  await server.stop()
})

test('an application that was made in the console signs people in, and its secret is shown once', async ({
  page,
  context,
  server,
  person,
  signInAs,
  newBrowser,
}) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: server.origin })
  const name = unique('Invoices')
  const client = await WebClient.start(server) // lends its address to the application made here
  await signInAs(server.admin)
  await page.goto('/admin/applications/new')
  await page.getByLabel('Name', { exact: true }).fill(name)
  await page.getByLabel('Redirect URIs 1').first().fill(`${client.origin}/callback`)
  await page.getByRole('button', { name: 'Create application' }).click()
  await expect(page.getByRole('status').filter({ hasText: `${name} was created.` })).toBeVisible()

  await page.getByRole('button', { name: 'Copy Client secret' }).click()
  const secret = await page.evaluate(() => navigator.clipboard.readText())
  expect(secret).toMatch(/^cs_[\w-]{43}$/)
  await expect(page.getByText(secret, { exact: true })).toBeVisible()
  await page.getByRole('button', { name: 'Copy Client ID' }).first().click()
  const id = await page.evaluate(() => navigator.clipboard.readText())

  await page.getByRole('link', { name: 'Open the application' }).click()
  await page.getByRole('link', { name: 'Credentials' }).click()
  await expect(page.getByText(`${secret.slice(0, 8)}…`)).toBeVisible()
  expect(await page.content()).not.toContain(secret)
  await page.reload()
  await expect(page.getByText(`${secret.slice(0, 8)}…`)).toBeVisible()
  expect(await page.content()).not.toContain(secret)

  client.become({ ...client.application, name, clientId: id }, await WebClient.discover(server, id, secret))
  const browser = await newBrowser()
  await signInAs(person, browser)
  await client.begin(browser)
  await browser.getByRole('button', { name: 'Allow', exact: true }).click()
  expect((await client.signedIn(browser)).claims.aud).toBe(id)
  await client.stop()
})

test('leaving before the secret was kept asks first', async ({ page, signInAs, server }) => {
  await signInAs(server.admin)
  await page.goto('/admin/applications/new')
  await page.getByLabel('Name', { exact: true }).fill(unique('Hasty'))
  await page.getByLabel('Redirect URIs 1').first().fill('https://hasty.example/callback')
  await page.getByRole('button', { name: 'Create application' }).click()
  await page.getByRole('link', { name: 'Open the application' }).click()
  await expect(page.getByRole('dialog')).toContainText('You have not copied or downloaded the secret.')
  await page.getByRole('button', { name: 'Stay' }).click()
  await expect(page.getByRole('button', { name: 'Copy Client secret' })).toBeVisible()
})

test('what is wrong with a redirect URI is said beside it', async ({ page, signInAs, server }) => {
  await signInAs(server.admin)
  await page.goto('/admin/applications/new')
  const field = page.getByLabel('Redirect URIs 1').first()
  await field.fill('http://app.example.com/callback')
  await field.blur()
  await expect(page.getByText('http works only for localhost. Use https.')).toBeVisible()
})

test('an application is edited', async ({ page, signInAs, server }) => {
  const application = await server.application({
    name: unique('Old name'),
    type: 'web',
    redirectUris: ['https://old.example/callback'],
  })
  const renamed = unique('New name')
  await signInAs(server.admin)
  await page.goto(`/admin/applications/${application.id}`)
  await page.getByLabel('Name', { exact: true }).fill(renamed)
  await page.getByLabel('Redirect URIs 1').first().fill('https://new.example/callback')
  await expect(page.getByText('Unsaved changes')).toBeVisible()
  await page.getByRole('button', { name: 'Save changes' }).click()
  await expect(page.getByText('Application saved', { exact: true })).toBeVisible()
  await page.reload()
  await expect(page.getByRole('heading', { name: renamed })).toBeVisible()
  expect(await server.administer('GET', `/applications/${application.id}`)).toMatchObject({
    name: renamed,
    redirectUris: ['https://new.example/callback'],
  })
})

test('a rotated secret works beside the old one until the old one ends', async ({ page, signInAs, server }) => {
  const client = await WebClient.start(server, { skipConsent: true })
  const { application } = client
  await signInAs(server.admin)
  await page.goto(`/admin/applications/${application.id}?tab=credentials`)
  const rotate = async (choice: string) => {
    await page.getByRole('button', { name: 'Rotate secret' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('radio', { name: choice }).click()
    await dialog.getByRole('button', { name: 'Rotate secret' }).click()
    await expect(dialog).toBeHidden()
    return page
      .locator('code')
      .filter({ hasText: /^cs_[\w-]{43}$/ })
      .innerText()
  }
  const attempt = async (secret: string) => {
    const config = await WebClient.discover(server, application.clientId, secret)
    return errorOf(oidc.refreshTokenGrant(config, 'not a token'))
  }
  const [known, unknown] = ['invalid_grant', 'status 401'] // the client is authenticated before the token is looked at

  const first = application.clientSecret ?? ''
  const second = await rotate('One hour')
  await expect(page.getByText(/The previous secret works until/)).toBeVisible()
  expect(second).not.toBe(first)
  expect(await attempt(first)).toBe(known)
  expect(await attempt(second)).toBe(known)

  const third = await rotate('No longer')
  expect(await attempt(first)).toBe(unknown)
  expect(await attempt(second)).toBe(unknown)
  expect(await attempt(third)).toBe(known)
  await client.stop()
})

test('a disabled application gets nobody in and its tokens are dead; enabled, it works again', async ({
  page,
  signInAs,
  server,
  person,
  newBrowser,
}) => {
  const client = await WebClient.start(server, { skipConsent: true })
  const browser = await newBrowser()
  await signInAs(person, browser)
  await client.begin(browser, { scope: 'openid offline_access' })
  const { refreshToken = '', accessToken } = await client.signedIn(browser)

  await signInAs(server.admin)
  await page.goto(`/admin/applications/${client.application.id}`)
  await page.getByRole('button', { name: 'Disable', exact: true }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Disable', exact: true }).click()
  await expect(page.getByText('Application disabled', { exact: true })).toBeVisible()
  expect(await errorOf(oidc.fetchUserInfo(client.config, accessToken, person.id))).toBe('invalid_token')
  expect(await errorOf(oidc.refreshTokenGrant(client.config, refreshToken))).toBe('status 401')
  await client.begin(browser)
  await expect(browser.getByRole('heading', { name: 'Unknown application' })).toBeVisible()

  await page.getByRole('button', { name: 'Enable', exact: true }).click()
  await expect(page.getByText('Application enabled', { exact: true })).toBeVisible()
  await client.begin(browser)
  await client.signedIn(browser)
  expect(await errorOf(oidc.refreshTokenGrant(client.config, refreshToken))).toBe('invalid_grant')
  await client.stop()
})

test('an application is deleted by typing its name', async ({ page, signInAs, server }) => {
  const application = await server.application({
    name: unique('Doomed'),
    type: 'spa',
    redirectUris: ['https://doomed.example/'],
  })
  await signInAs(server.admin)
  await page.goto(`/admin/applications/${application.id}`)
  await page.getByRole('button', { name: 'Delete application' }).click()
  const dialog = page.getByRole('dialog')
  await expect(dialog.getByRole('button', { name: 'Delete application' })).toBeDisabled()
  await dialog.getByLabel(/Type “/).fill(application.name)
  await dialog.getByRole('button', { name: 'Delete application' }).click()
  await expect(page).toHaveURL('/admin/applications')
  await expect(server.administer('GET', `/applications/${application.id}`)).rejects.toThrow(/404/)
})

test('the list is searched, filtered, and remembers it in its address', async ({ page, signInAs, server }) => {
  const needle = unique('Needle')
  await server.application({ name: needle, type: 'm2m' })
  await server.application({ name: `${needle} of a page`, type: 'spa', redirectUris: ['https://needle.example/'] })
  await signInAs(server.admin)
  await page.goto('/admin/applications')
  await page.getByRole('searchbox').fill(needle)
  await expect(page.getByText('2 applications')).toBeVisible()
  await page.getByRole('combobox', { name: 'Type' }).selectOption({ label: 'Machine to machine' })
  await expect(page.getByText('1 application', { exact: true })).toBeVisible()
  await page.reload()
  await expect(page.getByText('1 application', { exact: true })).toBeVisible()
  await page.getByRole('link', { name: needle }).click()
  await expect(page.getByRole('heading', { name: needle, exact: true })).toBeVisible()
})

test('whoever is no administrator is told so and sees nothing', async ({ page, person, signInAs, server }) => {
  await signInAs(person)
  await page.goto('/admin')
  await expect(page.getByRole('heading', { name: 'You have no access to this page' }).first()).toBeAttached()
  await expect(page.getByText(person.email).first()).toBeVisible()
  expect((await page.request.get(`${server.origin}/api/admin/applications`)).status()).toBe(403)
})
