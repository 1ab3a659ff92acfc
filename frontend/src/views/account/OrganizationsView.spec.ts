import { http, HttpResponse } from 'msw'
import { expect, test, vi } from 'vitest'
import type { Invitation, Organization } from '@/api/organizations'
import { ada, invitation, organization, problem, server, signedInAs } from '@/testing/server'
import { visit } from '@/testing/visit'

const acme = organization('Acme', { role: 'owner' })
const globex = organization('Globex')

/** Ada is a member of these. What is called with her requests also sees the session follow. */
function memberOf(organizations: Organization[], invitations: Invitation[] = []) {
  const sent = vi.fn()
  signedInAs(ada, acme.id)
  server.use(
    http.get('*/api/auth/organization/list', () => HttpResponse.json(organizations)),
    http.get('*/api/auth/organization/list-user-invitations', () => HttpResponse.json(invitations)),
    http.post<{ act: string }, { organizationId: string | null }>(
      '*/api/auth/organization/:act',
      async ({ request, params }) => {
        const { organizationId } = await request.json()
        sent(params.act, organizationId)
        if (params.act === 'set-active') signedInAs(ada, organizationId)
        else organizations = organizations.filter(({ id }) => id !== organizationId)
        return HttpResponse.json({})
      },
    ),
  )
  return sent
}

const row = (name: string) =>
  [...document.querySelectorAll('main li')].find((each) => each.textContent?.includes(name))?.textContent

test('shows the own role and which one is the default, and makes another one the default', async () => {
  const sent = memberOf([acme, globex])
  const page = await visit('/account/organizations')
  await page.sees('Globex')
  expect(row('Acme')).toMatch(/Default.*Owner.*acme/s)
  expect(row('Globex')).toMatch(/Member/)
  await page.press('Make default: Globex')
  await vi.waitFor(() => expect(page.button('Make default: Acme')).toBeTruthy())
  expect(row('Globex')).toContain('Default')
  expect(sent).toHaveBeenCalledExactlyOnceWith('set-active', globex.id)
  await page.press('Ask each time')
  await vi.waitFor(() => expect(page.button('Make default: Globex')).toBeTruthy())
  expect(sent).toHaveBeenLastCalledWith('set-active', null)
})

test('with one organization there is no default to choose', async () => {
  memberOf([acme])
  const page = await visit('/account/organizations')
  await page.sees('Acme')
  expect(row('Acme')).not.toContain('efault')
})

test('leaves when the person is sure', async () => {
  const sent = memberOf([acme, globex])
  const page = await visit('/account/organizations')
  await page.press('Leave Globex')
  await page.sees('Leave Globex?')
  expect(sent).not.toHaveBeenCalled()
  await page.press('Leave')
  await page.sees('You left Globex')
  expect(sent).toHaveBeenCalledExactlyOnceWith('leave', globex.id)
  await vi.waitFor(() => expect(row('Globex')).toBeUndefined())
})

test('explains why the only owner cannot leave', async () => {
  memberOf([acme])
  server.use(
    http.post('*/api/auth/organization/leave', () =>
      problem(400, 'YOU_CANNOT_LEAVE_THE_ORGANIZATION_AS_THE_ONLY_OWNER'),
    ),
  )
  const page = await visit('/account/organizations')
  await page.press('Leave Acme')
  await page.press('Leave')
  await page.sees('Make somebody else an owner before you leave.')
})

test('leads to the invitations that wait', async () => {
  memberOf([], [invitation('Initech')])
  const page = await visit('/account/organizations')
  await page.sees('good until Jan 3, 2026')
  expect(page.text()).toContain('You are in no organization')
  expect(page.button('Open the invitation to Initech').getAttribute('href')).toBe('/accept-invitation?id=i1')
})

test('says why there is no list, and reads it again', async () => {
  memberOf([acme])
  server.use(http.get('*/api/auth/organization/list', () => problem(503, 'UNAVAILABLE'), { once: true }))
  const page = await visit('/account/organizations')
  await page.sees('The service is temporarily unavailable.')
  await page.press('Try again')
  await page.sees('Acme')
})
