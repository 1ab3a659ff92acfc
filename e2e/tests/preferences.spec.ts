import { expect, test } from '../support/fixtures'
import { WebClient } from '../support/relying/web'
import { words } from '../support/words'

const fr = words('fr')

test('a French browser gets French pages', async ({ newBrowser, server }) => {
  const page = await newBrowser({ locale: 'fr-FR' })
  await page.goto(`${server.origin}/sign-in`)
  await expect(page.getByRole('heading', { name: 'Connexion à CIRCLE Auth' })).toBeVisible()
  await expect(page.locator('html')).toHaveAttribute('lang', 'fr')
  await expect(page).toHaveTitle(/Connexion/)
})

test('the language that somebody chose is kept, here and after signing in', async ({ page, person }) => {
  await page.goto('/sign-in')
  await page.getByRole('button', { name: 'Français' }).click()
  await expect(page.getByRole('heading', { name: 'Connexion à CIRCLE Auth' })).toBeVisible()
  await page.reload()
  await expect(page.locator('html')).toHaveAttribute('lang', 'fr')
  await page.getByRole('textbox', { name: fr('auth.email') }).fill(person.email)
  await page.getByRole('button', { name: fr('common.continue') }).click()
  await page.getByRole('textbox', { name: fr('auth.password') }).fill(person.password)
  await page.getByRole('button', { name: fr('auth.signIn.submit'), exact: true }).click()
  await expect(page.getByRole('heading', { name: fr('titles.profile') })).toBeVisible()
  await page.getByRole('button', { name: fr('common.userMenu', { name: person.name }) }).click()
  await page.getByRole('menuitem', { name: fr('common.language') }).click()
  await page.getByRole('menuitemcheckbox', { name: 'English' }).click()
  await expect(page.getByRole('heading', { name: 'Profile' })).toBeVisible()
})

test('an application can ask for a language', async ({ page, server }) => {
  const client = await WebClient.start(server)
  await client.begin(page, { ui_locales: 'de fr' })
  await expect(page.getByText(`pour continuer vers ${client.application.name}`)).toBeVisible()
  await client.stop()
})

test('the whole way is French: sign-in, a mistake, consent', async ({ newBrowser, server, person, watch }) => {
  watch.allow(/status of 401/)
  const client = await WebClient.start(server)
  const page = await newBrowser({ locale: 'fr-CA' })
  await client.begin(page)
  await page.getByRole('textbox', { name: fr('auth.email') }).fill(person.email)
  await page.getByRole('button', { name: fr('common.continue') }).click()
  const password = page.getByRole('textbox', { name: fr('auth.password') })
  await password.fill('une erreur')
  await password.press('Enter')
  await expect(page.getByRole('alert')).toHaveText(fr('errors.INVALID_EMAIL_OR_PASSWORD'))
  await password.fill(person.password)
  await password.press('Enter')
  await expect(
    page.getByRole('heading', { name: fr('auth.consent.title', { client: client.application.name }) }),
  ).toBeVisible()
  await expect(page.getByText(fr('scopes.email.title'))).toBeVisible()
  await page.getByRole('button', { name: fr('auth.consent.allow'), exact: true }).click()
  await client.signedIn(page)
  await client.stop()
})

test('the theme follows the system until somebody chooses, and is there before the first paint', async ({ page }) => {
  const html = page.locator('html')
  await page.emulateMedia({ colorScheme: 'dark' })
  await page.goto('/sign-in')
  await expect(html).toHaveClass(/\bdark\b/)
  await page.emulateMedia({ colorScheme: 'light' })
  await expect(html).not.toHaveClass(/\bdark\b/)
  await page.getByRole('button', { name: 'Theme: as the system' }).click()
  await page.getByRole('button', { name: 'Theme: light' }).click()
  await expect(page.getByRole('button', { name: 'Theme: dark' })).toBeVisible()
  await expect(html).toHaveClass(/\bdark\b/)
  await page.reload({ waitUntil: 'commit' })
  await page.waitForFunction(() => document.body !== null)
  expect(await html.getAttribute('class'), 'the class when the body begins').toMatch(/\bdark\b/)
})
