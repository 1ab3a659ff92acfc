import { http, HttpResponse } from 'msw'
import { expect, test, vi } from 'vitest'
import type { AuthorizationRequest } from '@/api/requests'
import { authorization, organization, problem, requestUser, server } from '@/testing/server'
import { visit } from '@/testing/visit'

const acme = organization('Acme', { role: 'owner' })
const globex = organization('Globex')

/** A request that waits for the choice, and then for consent. */
function waiting(fields: Partial<AuthorizationRequest> = {}) {
  const sent = vi.fn()
  let request = authorization({
    next: 'organization',
    user: requestUser,
    organizations: [acme, globex],
    ...fields,
  })
  server.use(
    http.get('*/api/auth/oauth2/requests/r1', () => HttpResponse.json(request)),
    http.post<never, { organizationId: string }>('*/api/auth/oauth2/requests/r1/organization', async (call) => {
      const { organizationId } = await call.request.json()
      sent(organizationId)
      const chosen = request.organizations?.find(({ id }) => id === organizationId)
      request = { ...request, organization: chosen, next: 'consent' }
      return HttpResponse.json(request)
    }),
  )
  return sent
}

const choices = () => [...document.querySelectorAll<HTMLInputElement>('input[type=radio]')]
const chosen = () => choices().find(({ checked }) => checked)?.value
const proceed = () => [...document.querySelectorAll('button')].find(({ type }) => type === 'submit')

test('shows each organization with the own role, and continues with the chosen one', async () => {
  const sent = waiting()
  const page = await visit('/select-organization?request=r1')
  await page.sees('Choose an organization')
  for (const words of ['Acme', 'Owner', 'Globex', 'globex', 'Member', requestUser.email]) {
    expect(page.text()).toContain(words)
  }
  expect(document.querySelector('input[type=search]')).toBeNull()
  expect(proceed()?.disabled).toBe(true)

  choices()[1]?.click()
  await page.press('Continue')
  await page.sees('for Globex')
  expect(sent).toHaveBeenCalledWith(globex.id)
  expect(page.router.currentRoute.value.fullPath).toBe('/consent?request=r1')
})

test('suggests the default organization', async () => {
  const sent = waiting({ defaultOrganizationId: globex.id })
  const page = await visit('/select-organization?request=r1')
  await page.sees('Globex')
  expect(chosen()).toBe(globex.id)
  await page.press('Continue')
  await vi.waitFor(() => expect(sent).toHaveBeenCalledWith(globex.id))
})

test('a default that cannot be chosen any more is not sent', async () => {
  waiting({ defaultOrganizationId: 'o-gone' })
  const page = await visit('/select-organization?request=r1')
  await page.sees('Globex')
  expect(chosen()).toBeUndefined()
  expect(proceed()?.disabled).toBe(true)
})

test('the consent page leads back, and the choice can be made anew', async () => {
  const sent = waiting({ next: 'consent', organization: acme })
  const page = await visit('/consent?request=r1')
  await page.sees('for Acme')
  await page.press('Change the organization')
  await page.sees('Choose an organization')
  expect(chosen()).toBe(acme.id)
  choices()[1]?.click()
  await page.press('Continue')
  await page.sees('for Globex')
  expect(sent).toHaveBeenCalledWith(globex.id)
})

test('whoever has one organization has nothing to choose', async () => {
  waiting({ next: 'consent', organization: acme, organizations: [acme] })
  const page = await visit('/select-organization?request=r1')
  await page.sees('for Acme')
  expect(page.router.currentRoute.value.path).toBe('/consent')
  expect(page.text()).not.toContain('Change')
})

test('more than eight can be searched, without accents, and what is out of sight is not chosen', async () => {
  const many = ['Äpfel', 'Beta', 'Gamma', 'Delta', 'Zeta', 'Eta', 'Theta', 'Iota', 'Kappa'].map((n) => organization(n))
  const sent = waiting({ organizations: many, defaultOrganizationId: 'o-zeta' })
  const page = await visit('/select-organization?request=r1')
  await page.sees('Kappa')
  expect(chosen()).toBe('o-zeta')
  const search = document.querySelector<HTMLInputElement>('input[type=search]')
  const type = async (text: string) => {
    if (search) search.value = text
    search?.dispatchEvent(new Event('input', { bubbles: true }))
    await vi.waitFor(() => expect(page.text()).not.toContain('Gamma'))
  }
  await type('eta')
  expect(choices().map(({ value }) => value)).toEqual(['o-beta', 'o-zeta', 'o-eta', 'o-theta'])
  expect(chosen()).toBe('o-zeta')
  await type('nothing like it')
  await page.sees('No organization has this in its name.')
  expect(proceed()?.disabled).toBe(true)
  await type(' APF')
  await page.sees('Äpfel')
  expect(chosen()).toBe('o-äpfel') // the only one left
  await page.press('Continue')
  await vi.waitFor(() => expect(sent).toHaveBeenCalledWith('o-äpfel'))
})

test('says that the membership has ended meanwhile', async () => {
  waiting()
  server.use(
    http.post('*/api/auth/oauth2/requests/r1/organization', () =>
      HttpResponse.json(
        { status: 400, code: 'VALIDATION_ERROR', errors: { organizationId: 'Choose one of your organizations.' } },
        { status: 400, headers: { 'Content-Type': 'application/problem+json' } },
      ),
    ),
  )
  const page = await visit('/select-organization?request=r1')
  await page.sees('Acme')
  choices()[0]?.click()
  await page.press('Continue')
  await page.sees('You can no longer act for this organization.')
})

test('explains that there is none to choose', async () => {
  waiting({ organizations: [] })
  const page = await visit('/select-organization?request=r1')
  await page.sees('None of your organizations can be chosen any more.')
  expect(page.button('Cancel and return to Acme CRM')).toBeTruthy()
})

test('explains a request that has expired', async () => {
  server.use(http.get('*/api/auth/oauth2/requests/r1', () => problem(410, 'REQUEST_EXPIRED')))
  const page = await visit('/select-organization?request=r1')
  await page.sees('This sign-in request has expired.')
})

test('goes back to the application when the person cancels', async () => {
  const assign = vi.spyOn(location, 'assign').mockImplementation(() => {})
  waiting()
  server.use(
    http.post('*/api/auth/oauth2/requests/r1/cancel', () =>
      HttpResponse.json({ redirectTo: 'https://crm.example.com/cb?error=access_denied' }),
    ),
  )
  const page = await visit('/select-organization?request=r1')
  await page.press('Cancel and return to Acme CRM')
  await vi.waitFor(() => expect(assign).toHaveBeenCalledWith('https://crm.example.com/cb?error=access_denied'))
})
