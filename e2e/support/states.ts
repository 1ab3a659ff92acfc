import { expect } from '@playwright/test'
import { organizationStates } from './organizationStates'
import { refused } from './watch'
import { asAdmin, asPerson, button, type State, type World } from './world'

async function enterAddress(world: World, email: string) {
  await world.page.getByRole('textbox', { name: world.t('auth.email') }).fill(email)
  await button(world, world.t('common.continue')).click()
}

async function enterPassword(world: World, password: string) {
  await world.page.getByRole('textbox', { name: world.t('auth.password') }).fill(password)
  await button(world, world.t('auth.signIn.submit')).click()
}

const detail = ({ client }: World, tab: string) => `/admin/applications/${client.application.id}?tab=${tab}`

async function connect(world: World) {
  await world.signInAs(world.person)
  await world.client.begin(world.page)
  await button(world, world.t('auth.consent.allow')).click()
  await world.client.signedIn(world.page)
}

async function createApplication(world: World, name: string) {
  const { page, t } = world
  await asAdmin(world, '/admin/applications/new')
  await page.getByRole('textbox', { name: t('admin.name'), exact: true }).fill(name)
  await page
    .getByRole('textbox', { name: t('admin.uris.nth', { label: t('admin.redirectUris.label'), n: '1' }), exact: true })
    .fill('https://app.example.com/callback')
  await button(world, t('admin.create.submit')).click()
  await expect(page.getByText(t('admin.secret.once'))).toBeVisible()
}

/** Every state of every page that a person can meet. Each begins signed out, in a new browser. */
export const states: State[] = [
  { name: 'sign-in', open: async ({ page }) => void (await page.goto('/sign-in')) },
  {
    name: 'sign-in with an address that is none',
    open: async (world) => {
      await world.page.goto('/sign-in')
      await enterAddress(world, 'nonsense')
      await expect(world.page.getByText(world.t('auth.invalidEmail'))).toBeVisible()
    },
  },
  {
    name: 'sign-in with the password to give',
    open: async (world) => {
      await world.page.goto('/sign-in')
      await enterAddress(world, world.person.email)
      await expect(world.page.getByRole('textbox', { name: world.t('auth.password') })).toBeVisible()
    },
  },
  {
    name: 'sign-in after a wrong password',
    allow: [refused(401)],
    open: async (world) => {
      await world.page.goto('/sign-in')
      await enterAddress(world, world.person.email)
      await enterPassword(world, 'wrong')
      await expect(world.page.getByText(world.t('errors.INVALID_EMAIL_OR_PASSWORD'))).toBeVisible()
    },
  },
  { name: 'sign-in for an application', open: ({ client, page }) => client.begin(page) },
  { name: 'register', open: async ({ page }) => void (await page.goto('/register')) },
  {
    name: 'register with everything wrong',
    open: async (world) => {
      await world.page.goto('/register')
      await button(world, world.t('auth.register.submit')).click()
      await expect(world.page.getByText(world.t('auth.register.nameMissing'))).toBeVisible()
    },
  },
  {
    name: 'consent',
    open: async ({ client, page, signInAs, person, t }) => {
      await signInAs(person)
      await client.begin(page, { scope: 'openid profile email offline_access' })
      await expect(page.getByText(t('scopes.offline_access.title'))).toBeVisible()
    },
  },
  {
    name: 'consent to what was allowed before',
    open: async (world) => {
      await connect(world)
      await world.client.begin(world.page, { prompt: 'consent' })
      await expect(world.page.getByText(world.t('auth.consent.before')).first()).toBeVisible()
    },
  },
  {
    name: 'select-account',
    open: async ({ client, page, signInAs, person, t }) => {
      await signInAs(person)
      await client.begin(page, { prompt: 'select_account' })
      await expect(page.getByText(t('auth.select.another'))).toBeVisible()
    },
  },
  ...organizationStates,
  { name: 'sign-out', open: (world) => asPerson(world, '/sign-out') },
  { name: 'signed-out', open: async ({ page }) => void (await page.goto('/signed-out')) },
  { name: 'error', open: ({ client, page }) => client.begin(page, { redirect_uri: 'https://elsewhere.example/' }) },
  { name: 'not-found', open: async ({ page }) => void (await page.goto('/nothing/here')) },
  {
    name: 'request that has ended',
    allow: [refused(404)],
    open: async ({ page, t }) => {
      await page.goto('/sign-in?request=unknown')
      await expect(page.getByText(t('auth.ended.title'))).toBeVisible()
    },
  },
  { name: 'profile', open: (world) => asPerson(world, '/account') },
  {
    name: 'profile with the menu open',
    open: async (world) => {
      await asPerson(world, '/account')
      await button(world, world.t('common.userMenu', { name: world.person.name })).click()
      await expect(world.page.getByRole('menu')).toBeVisible()
    },
  },
  {
    name: 'profile about to be deleted',
    open: async (world) => {
      await asPerson(world, '/account')
      await button(world, world.t('account.delete.start')).click()
      await expect(world.page.getByRole('dialog')).toBeVisible()
    },
  },
  { name: 'security', open: (world) => asPerson(world, '/account/security') },
  {
    name: 'security with everything wrong',
    open: async (world) => {
      await asPerson(world, '/account/security')
      await button(world, world.t('account.password.submit')).click()
      await expect(world.page.getByText(world.t('account.password.currentMissing'))).toBeVisible()
    },
  },
  {
    name: 'sessions',
    open: async (world) => {
      await world.server.signIn(world.person)
      await asPerson(world, '/account/sessions')
      await expect(world.page.getByText(world.t('account.sessions.current'))).toBeVisible()
    },
  },
  {
    name: 'sessions about to be ended',
    open: async (world) => {
      await world.server.signIn(world.person)
      await asPerson(world, '/account/sessions')
      await button(world, world.t('account.sessions.endOthers')).click()
      await expect(world.page.getByRole('dialog')).toBeVisible()
    },
  },
  {
    name: 'connected applications',
    open: async (world) => {
      await connect(world)
      await world.page.goto('/account/applications')
      await expect(world.page.getByRole('heading', { name: world.client.application.name })).toBeVisible()
    },
  },
  {
    name: 'connected applications, none',
    open: async (world) => {
      await asPerson(world, '/account/applications')
      await expect(world.page.getByText(world.t('account.connected.emptyTitle'))).toBeVisible()
    },
  },
  {
    name: 'console, applications',
    open: async (world) => {
      await asAdmin(world, '/admin/applications')
      await expect(world.page.getByRole('row').nth(1)).toBeVisible()
    },
  },
  {
    name: 'console, nothing found',
    open: async (world) => {
      await asAdmin(world, '/admin/applications?search=there+is+no+such+thing')
      await expect(world.page.getByText(world.t('admin.list.noMatchTitle'))).toBeVisible()
    },
  },
  { name: 'console, new application', open: (world) => asAdmin(world, '/admin/applications/new') },
  {
    name: 'console, new application with everything wrong',
    open: async (world) => {
      await asAdmin(world, '/admin/applications/new')
      await button(world, world.t('admin.create.submit')).click()
      await expect(world.page.getByText(world.t('admin.create.nameMissing'))).toBeVisible()
    },
  },
  { name: 'console, application created', open: (world) => createApplication(world, 'Ledger') },
  {
    name: 'console, leaving without the secret',
    open: async (world) => {
      await createApplication(world, 'Ledger')
      await world.page.getByRole('link', { name: world.t('admin.create.open') }).click()
      await expect(world.page.getByRole('dialog')).toBeVisible()
    },
  },
  {
    name: 'console, application settings',
    open: async (world) => {
      await asAdmin(world, detail(world, 'settings'))
      await world.page.getByRole('textbox', { name: world.t('admin.name'), exact: true }).fill('Another name')
      await expect(world.page.getByText(world.t('admin.settings.unsaved'))).toBeVisible()
    },
  },
  {
    name: 'console, application about to be deleted',
    open: async (world) => {
      await asAdmin(world, detail(world, 'settings'))
      await button(world, world.t('admin.danger.delete')).click()
      await expect(world.page.getByRole('dialog')).toBeVisible()
    },
  },
  {
    name: 'console, disabled application',
    open: async (world) => {
      await world.server.administer('PATCH', `/applications/${world.client.application.id}`, { disabled: true })
      await asAdmin(world, detail(world, 'settings'))
      await expect(world.page.getByText(world.t('admin.danger.enableTitle'))).toBeVisible()
    },
  },
  { name: 'console, credentials', open: (world) => asAdmin(world, detail(world, 'credentials')) },
  {
    name: 'console, rotating a secret',
    open: async (world) => {
      await asAdmin(world, detail(world, 'credentials'))
      await button(world, world.t('admin.secret.rotate')).click()
      await expect(world.page.getByRole('dialog')).toBeVisible()
    },
  },
  {
    name: 'console, adding a client',
    open: async (world) => {
      await asAdmin(world, detail(world, 'credentials'))
      await button(world, world.t('admin.clients.add')).click()
      await expect(world.page.getByRole('dialog')).toBeVisible()
    },
  },
  { name: 'console, quick start', open: (world) => asAdmin(world, detail(world, 'quickStart')) },
  {
    name: 'console, for somebody who is no administrator',
    open: async (world) => {
      await asPerson(world, '/admin')
      await expect(world.page.getByRole('heading', { name: world.t('admin.forbidden.title') }).first()).toBeAttached()
    },
  },
]
