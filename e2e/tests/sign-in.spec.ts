import { expectAccessible } from '../support/accessible'
import { expect, test } from '../support/fixtures'
import { allow, expectConsent, signIn } from '../support/pages'
import { WebClient } from '../support/relying/web'
import { refused } from '../support/watch'

test('a wrong password is told without saying which part is wrong, and another try works', async ({
  page,
  person,
  watch,
}) => {
  watch.allow(refused(401))
  await page.goto('/sign-in')
  await signIn(page, { email: person.email, password: 'not the password' })
  await expect(page.getByRole('alert')).toHaveText('The e-mail address or the password is wrong.')
  const field = page.getByLabel('Password', { exact: true })
  await expect(field).toBeFocused()
  await expect(field).toHaveValue('')
  await field.fill(person.password)
  await field.press('Enter')
  await expect(page).toHaveURL('/account')
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue(person.name)
})

test('an address without an account is answered like a wrong password', async ({ page, watch }) => {
  watch.allow(refused(401))
  await page.goto('/sign-in')
  await signIn(page, { email: 'nobody@example.com', password: 'whatever it may be' })
  await expect(page.getByRole('alert')).toHaveText('The e-mail address or the password is wrong.')
})

test('after many wrong passwords the page says how long to wait', async ({ page, server, person, watch }) => {
  watch.allow(refused(401), refused(429))
  for (let i = 0; i < 5; i++)
    await expect(server.signIn({ email: person.email, password: `guess ${i}` })).rejects.toThrow(/401|429/)
  await page.goto('/sign-in')
  await signIn(page, { email: person.email, password: 'one guess more' })
  await page.getByLabel('Password', { exact: true }).fill(person.password) // even the right one has to wait
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await expect(page.getByRole('alert')).toHaveText(/Too many attempts\. Try again in \d+ seconds?\./)
})

test('a page that needs a person sends them through sign-in and back', async ({ page, person }) => {
  await page.goto('/account/sessions')
  await expect(page).toHaveURL(/\/sign-in\?return_to=/)
  await signIn(page, person)
  await expect(page).toHaveURL('/account/sessions')
})

// Phishing: a link to the real sign-in page must not end on a page of somebody else (RFC 9700 §4.11.1).
for (const target of ['https://evil.example/', '//evil.example', '/\\evil.example', 'javascript:alert(1)']) {
  test(`return_to=${target} stays here`, async ({ page, person }) => {
    await page.goto(`/sign-in?return_to=${encodeURIComponent(target)}`)
    await signIn(page, person)
    await expect(page).toHaveURL('/account')
  })
}

test('somebody new registers on the way to a client', async ({ page, server }) => {
  const client = await WebClient.start(server)
  await client.begin(page)
  await page.getByRole('link', { name: 'Create one' }).click()
  await page.getByLabel('Name', { exact: true }).fill('Emmy Noether')
  await page.getByLabel('E-mail address').fill(`emmy-${Date.now()}@example.com`)
  await page.getByLabel('Password', { exact: true }).fill('symmetry and conservation')
  await page.getByRole('button', { name: 'Create account' }).click()
  await allow(page, client.application.name)
  expect((await client.signedIn(page)).claims.name).toBe('Emmy Noether')
  await client.stop()
})

test('an address that has an account cannot be registered again', async ({ page, person, watch }) => {
  watch.allow(refused(422))
  await page.goto('/register')
  await page.getByLabel('Name', { exact: true }).fill('Somebody else')
  await page.getByLabel('E-mail address').fill(person.email.toUpperCase())
  await page.getByLabel('Password', { exact: true }).fill('long enough, surely')
  await page.getByRole('button', { name: 'Create account' }).click()
  await expect(page.getByRole('alert')).toContainText('exists already')
})

for (const first of [0, 1]) {
  test(`two tabs finish, number ${first + 1} first`, async ({ page, context, server, person }) => {
    const client = await WebClient.start(server)
    const tabs = [page, await context.newPage()]
    for (const [i, tab] of tabs.entries()) {
      await client.begin(tab, { state: `tab-${i}` })
      await expect(tab.getByLabel('E-mail address')).toBeVisible()
    }
    const [early = page, late = page] = [tabs[first], tabs[1 - first]]
    await signIn(early, person)
    await allow(early, client.application.name)
    expect(await client.signedIn(early)).toMatchObject({ state: `tab-${first}`, claims: { sub: person.id } })
    await signIn(late, person) // still on the sign-in page, and it works there, too
    expect(await client.signedIn(late)).toMatchObject({ state: `tab-${1 - first}`, claims: { sub: person.id } })
    await client.stop()
  })
}

test('a tab that is reloaded after the other signed in goes on by itself', async ({
  page,
  context,
  server,
  person,
}) => {
  const client = await WebClient.start(server)
  const other = await context.newPage()
  await client.begin(page, { state: 'one' })
  await client.begin(other, { state: 'two' })
  await signIn(other, person)
  await expectConsent(other, client.application.name)
  await page.reload()
  await allow(page, client.application.name)
  expect((await client.signedIn(page)).state).toBe('one')
  await client.stop()
})

test('a request that was answered already cannot be answered again', async ({ page, server, person, watch }) => {
  const client = await WebClient.start(server)
  await client.begin(page)
  const address = page.url()
  await signIn(page, person)
  await allow(page, client.application.name)
  await client.signedIn(page)
  watch.allow(refused(410))
  await page.goto(address)
  await expect(page.getByRole('heading', { name: 'This request cannot continue' })).toBeVisible()
  await client.stop()
})

test('a native application is handed the answer, and the page says what to do next', async ({
  page,
  server,
  person,
  watch,
}) => {
  watch.allow(/does not have a registered handler/)
  const client = await WebClient.start(server, { type: 'native', redirectUris: ['com.example.notes:/callback'] })
  await client.begin(page, { redirect_uri: 'com.example.notes:/callback' })
  await signIn(page, person)
  await allow(page, client.application.name)
  await expect(page.getByRole('heading', { name: 'Continue in the application' })).toBeVisible()
  await expect(page.getByRole('button', { name: `Open ${client.application.name}` })).toBeVisible()
  await expectAccessible(page)
  await client.stop()
})

test('signing out leads to the signed-out page, and back in', async ({ page, person, signInAs }) => {
  await signInAs(person)
  await page.goto('/account')
  await page.getByRole('button', { name: `Menu of ${person.name}` }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await expect(page.getByRole('heading', { name: 'You are signed out' })).toBeVisible()
  await page.getByRole('link', { name: 'Sign in again' }).click()
  await signIn(page, person)
  await expect(page).toHaveURL('/account')
})
